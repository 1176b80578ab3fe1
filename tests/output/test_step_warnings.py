"""What the console is told of what went wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raysgpo.config.overrides import resolve
from raysgpo.output.metrics import Metrics
from raysgpo.output.step_warnings import failed_group, lost_votes, missed_sync, step_warnings
from raysgpo.records import Drop, Group


def test_a_failed_group_is_named_with_its_reason(make_group: Callable[..., Group]) -> None:
    assert failed_group(make_group(4)) is None
    assert failed_group(make_group(4, dropped=Drop.NO_SIGNAL)) is None
    group = make_group(4, dropped=Drop.FAILED, error="no replica answered")
    assert failed_group(group) == "position 4: no replica answered; the group is dropped"


@pytest.mark.parametrize(("landed", "said"), [(None, False), (2, False), (1, True), (0, True)])
def test_a_push_that_missed_a_replica_is_told(landed: int | None, said: bool) -> None:
    metrics: Metrics = {} if landed is None else {"sync/replicas": landed}
    notice = missed_sync(6, metrics, replicas=(2, 2))
    assert (notice is not None) == said
    assert notice is None or notice.startswith(f"step 7: the new weights reached {landed} of 2 rollout replicas")


def test_lost_votes_are_told_by_reason(make_group: Callable[..., Group]) -> None:
    fine = make_group(0, counts={"judge/calls": 8, "judge/tokens": 10})
    assert lost_votes(0, [fine]) is None
    bad = make_group(1, counts={"judge/calls": 4, "judge/timeouts": 2, "judge/parse_failures": 1})
    notice = lost_votes(0, [fine, bad])
    assert notice is not None
    assert notice.startswith("step 1: the judge lost 3 of 12 votes (1 parse failures, 2 timeouts); ")


def test_what_a_step_lost_is_told_by_kind(make_group: Callable[..., Group]) -> None:
    config = resolve({}, overrides=["prompts_per_step=3", "algorithm.refill=true"])
    fine = [make_group(p) for p in range(3)]
    assert step_warnings(0, fine, config) == {}
    bad = [
        make_group(0, dropped=Drop.NO_REWARD, error="an answer's reward is no finite number: correctness=nan"),
        make_group(1, counts={"grader/timeouts": 2}),
        make_group(2, dropped=Drop.NO_SIGNAL),
        make_group(3, counts={"judge/calls": 4, "judge/timeouts": 1}),
    ]
    told = step_warnings(4, bad, config)
    assert set(told) == {"lost votes", "failed grading", "without reward", "short step"}
    assert told["failed grading"].startswith("step 5: grading failed for 2 answers; such an answer counts as wrong")
    assert told["without reward"].startswith(
        "step 5: 1 groups are dropped, the first at position 0: an answer's reward"
    )
    assert told["short step"].startswith("step 5: of 4 prompts only 2 gave a group to train on, instead of 3")
    assert set(step_warnings(4, bad, resolve({}, overrides=["prompts_per_step=3"]))) == set(told) - {"short step"}
