"""A number of rollout replicas that changes is told, and what joins or leaves is not missed."""

from __future__ import annotations

import pytest

from raysgpo.output.metrics import Metrics
from raysgpo.output.replica_count import ReplicaCount, replica_metrics
from raysgpo.output.step_warnings import missed_sync


def push(landed: int, failures: int = 0) -> Metrics:
    return {"sync/replicas": landed, "sync/failures": failures}


@pytest.mark.parametrize(
    ("found", "metrics"),
    [
        ({}, {}),
        (push(3), {"rollout/replicas": 3}),
        (push(2, 1), {"rollout/replicas": 3}),
        (push(0, 1), {"rollout/replicas": 0}),
    ],
)
def test_those_that_a_push_found_are_counted(found: Metrics, metrics: Metrics) -> None:
    assert replica_metrics(found) == metrics


def test_each_change_is_told_once_with_its_step() -> None:
    count = ReplicaCount((1, 3))
    pushes = [push(1), push(2), push(2), push(0, 1), push(2), {}, push(3), push(1), push(2)]
    assert [notice for step, found in enumerate(pushes) if (notice := count.change(step, found))] == [
        "step 2: rollout replicas: 1 -> 2",
        "step 7: rollout replicas: 2 -> 3",
        "step 8: rollout replicas: 3 -> 1",
        "step 9: rollout replicas: 1 -> 2",
    ]


def test_a_fixed_number_changes_by_losses_alone_which_are_told_as_such() -> None:
    count = ReplicaCount((1, 1))
    assert [count.change(step, push(landed)) for step, landed in enumerate([1, 0, 2, 1])] == [None] * 4


@pytest.mark.parametrize(
    ("found", "of"),
    [
        (push(1), None),
        (push(2), None),
        (push(4), None),
        (push(0, 1), 1),
        (push(0), 1),
        (push(1, 1), 2),
        (push(2, 9), 4),
    ],
)
def test_one_that_joins_or_leaves_is_no_missed_sync(found: Metrics, of: int | None) -> None:
    notice = missed_sync(6, found, (1, 4))
    landed = found["sync/replicas"]
    assert (
        notice is None if of is None else (notice or "").startswith(f"step 7: the new weights reached {landed} of {of}")
    )
