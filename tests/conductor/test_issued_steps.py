"""A step that is asked for again is the one that was handed out, until a checkpoint covers it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from raysgpo.conductor.issued_steps import IssuedSteps
from raysgpo.conductor.versions import Versions
from raysgpo.config import Config
from raysgpo.records import Drop, Group, Rollout

pytestmark = pytest.mark.ray

Make = Callable[..., Group]


@pytest.fixture
def issue(
    make_group: Make, make_rollout: Callable[..., Rollout], tmp_path: Path
) -> Callable[[IssuedSteps, int], list[Group]]:
    def issue(steps: IssuedSteps, step: int) -> list[Group]:
        rollouts = [make_rollout(tokens=2 + step, advantage=a, weight_versions=((1, 2),)) for a in (1.0, -1.0)]
        groups = [make_group(2 * step + n, rollouts) for n in range(2)]
        steps.add(step, groups, ranks=2)
        return groups

    return issue


@pytest.fixture
def steps(tmp_path: Path) -> IssuedSteps:
    versions = Versions(0)
    versions.land(versions.give_out(0), 0)
    return IssuedSteps(Config(max_staleness=9), versions, tmp_path / "issued")


def tokens(steps: IssuedSteps, step: int) -> list[list[int]]:
    return [
        [
            int(t)
            for share in steps.shares(step, rank, 2)
            for batch in share.micro_batches
            for sequence in batch
            for t in sequence.token_ids_T
        ]
        for rank in (0, 1)
    ]


def test_a_step_that_was_put_away_is_the_same(
    steps: IssuedSteps, issue: Callable[[IssuedSteps, int], list[Group]]
) -> None:
    issue(steps, 1)
    before, ages = tokens(steps, 1), [group.age for group in steps.groups(1)]
    steps.put_away(1)
    assert steps._issued == {} and 1 in steps
    steps.add(1, [], ranks=2)
    assert tokens(steps, 1) == before and [group.age for group in steps.groups(1)] == ages == [1, 1]
    np.testing.assert_array_equal(
        steps.groups(1)[0].rollouts_G[0].segments[1].logprobs_T, np.full(3, -0.5, dtype=np.float32)
    )


def test_nothing_that_is_covered_stays(
    steps: IssuedSteps, issue: Callable[[IssuedSteps, int], list[Group]], tmp_path: Path
) -> None:
    for step in range(3):
        issue(steps, step)
        steps.put_away(step)
    steps.shares(0, 0, 2)  # back in memory
    steps.forget_before(2)
    assert [step in steps for step in range(3)] == [False, False, True]
    steps.close()
    assert not (tmp_path / "issued").exists()


def test_memory_holds_the_step_that_is_trained_and_no_other(
    steps: IssuedSteps, issue: Callable[[IssuedSteps, int], list[Group]]
) -> None:
    for step in range(50):
        issue(steps, step)
        assert len(steps._issued) == 1
        steps.put_away(step)


def test_a_disk_that_takes_nothing_costs_memory_and_no_step(
    steps: IssuedSteps, issue: Callable[[IssuedSteps, int], list[Group]], tmp_path: Path
) -> None:
    (tmp_path / "issued").write_text("a file stands where the folder should be")
    issue(steps, 0)
    before = tokens(steps, 0)
    steps.put_away(0)
    assert tokens(steps, 0) == before


def test_what_another_start_left_there_is_not_read(
    steps: IssuedSteps, issue: Callable[[IssuedSteps, int], list[Group]], tmp_path: Path
) -> None:
    issue(steps, 0)
    steps.put_away(0)
    again = IssuedSteps(Config(), Versions(0), tmp_path / "issued")
    assert 0 not in again


def test_other_ranks_share_the_same_groups_out_anew(
    steps: IssuedSteps, issue: Callable[[IssuedSteps, int], list[Group]]
) -> None:
    def sequences(ranks: int) -> list[tuple[int, ...]]:
        shares = [steps.shares(0, rank, ranks) for rank in range(ranks)]
        return sorted(
            tuple(int(token) for token in sequence.token_ids_T)
            for updates in shares
            for share in updates
            for batch in share.micro_batches
            for sequence in batch
        )

    issue(steps, 0)
    two, ages = sequences(2), [group.age for group in steps.groups(0)]
    steps.put_away(0)
    assert sequences(1) == sequences(3) == two and [group.age for group in steps.groups(0)] == ages
    denominators = {share.denominator for rank in range(3) for share in steps.shares(0, rank, 3)}
    assert denominators == {share.denominator for share in steps.shares(0, 0, 1)}


def test_tokens_of_weights_that_are_forgotten_are_too_old(
    make_group: Make, make_rollout: Callable[..., Rollout], tmp_path: Path
) -> None:
    versions = Versions(0)
    for step in range(8):
        versions.land(versions.give_out(step), step)
    steps = IssuedSteps(Config(max_staleness=1), versions, tmp_path / "issued")
    versions.forget_before(5)
    assert versions.ready and sorted(versions._steps.values()) == [5, 6, 7]
    groups = [
        make_group(n, [make_rollout(advantage=a, weight_versions=((version, 3),)) for a in (1.0, -1.0)])
        for n, version in enumerate((1, 5, 6, 7))
    ]
    steps.add(6, groups, ranks=1)
    assert [(group.age, group.dropped) for group in steps.groups(6)] == [
        (2, Drop.TOO_OLD), (2, Drop.TOO_OLD), (1, None), (0, None),
    ]  # fmt: skip
    with pytest.raises(KeyError, match="version 9 was not given out"):
        Versions(0).oldest_step(make_group(0, [make_rollout(weight_versions=((9, 1),))]))
