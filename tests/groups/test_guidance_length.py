"""The length that a step's groups are given: stamped when their slots open, the same after a resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config.overrides import resolve
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.guidance_length import GuidanceLength
from raysgpo.groups.prepared import Prompt
from raysgpo.guidance.trajectory import Trajectory
from raysgpo.records import Drop, Group, Problem, Role, Rollout, Segment
from tests.resolved import resolved

STEPS = 8


def settings(*words: str) -> ResolvedConfig:
    base = ["guidance=g2rpo_a", "guidance.length=1000", "guidance.max_length=3072", "sampling.max_tokens=4000"]
    return resolved(resolve({}, overrides=[*base, *words]))


def guiding(*words: str) -> GuidanceLength:
    return GuidanceLength(settings(*words), STEPS)


def group_of(rewards: list[float], guided: int = 0, **changes: Any) -> Group:
    """Its first ``guided`` rollouts are guided; right is what has a reward of 1."""

    def rollout(index: int, reward: float) -> Rollout:
        roles = [Role.PROMPT, *[Role.GUIDANCE] * (index < guided)]
        segments = tuple(Segment.given(role, [1, 2]) for role in roles)
        return Rollout(segments, "", "stop", index, (), correct=reward == 1, reward_parts={"correctness": reward})

    rollouts = tuple(rollout(index, reward) for index, reward in enumerate(rewards))
    return Group(0, 0, 0, Problem("p", "?", "1"), rollouts, **changes)


def taught(guiding: GuidanceLength, *means: float) -> GuidanceLength:
    for step, mean in enumerate(means):
        guiding.learn(step, [group_of([mean])])
    return guiding


def test_a_step_has_the_length_that_the_steps_before_it_gave() -> None:
    adaptive = taught(guiding(), 0.2, 0.4, 0.5)
    # Step 1 had nothing to compare step 0 with; 1000 * .2/.4 = 500; 500 * .3/.5 = 300.
    assert [adaptive.length(step) for step in range(4)] == pytest.approx([1000, 1000, 500, 300])


@pytest.mark.parametrize("staleness", [1, 2])
def test_under_staleness_it_is_the_length_of_the_moment_when_the_slot_opened(staleness: int) -> None:
    adaptive = taught(guiding(f"max_staleness={staleness}"), 0.2, 0.4, 0.5)
    opened = [adaptive.length(step) for step in range(4 + staleness)]
    assert opened == pytest.approx([1000] * staleness + [1000, 1000, 500, 300])
    adaptive.learn(3, [group_of([0.1])])
    assert [adaptive.length(step) for step in range(4 + staleness)] == opened, "asking again gives the same"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["guidance=guided"], [1000] * 4),
        (["guidance=rdp", "guidance.decay_steps=8"], [1000, 875, 750, 625]),
        (["guidance=rdp", "guidance.decay_steps=2"], [1000, 500, 0, 0]),
        (["guidance.schedule=concave", "guidance.decay_steps=4"], [1000, 562.5, 250, 62.5]),
        (["guidance.schedule=stepwise", "guidance.every=2"], [1000, 1000, 500, 500]),
        (["guidance=none"], [None] * 4),
    ],
)
def test_the_other_schedules_follow_from_the_step_alone(words: list[str], expected: list[float | None]) -> None:
    fixed = taught(guiding(*words, "max_staleness=1"), 0.1, 0.9)
    assert [fixed.length(step) for step in range(4)] == expected
    assert fixed.state(2) == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (0.5 + 1 + 0.3 + 0) / 4),
        (["guidance.signal=accuracy"], 0.25),
        (["guidance.signal_of=unguided"], (0.3 + 0) / 2),
        (["guidance.signal=accuracy", "guidance.signal_of=unguided"], 0.0),
    ],
)
def test_the_signal_of_a_step(words: list[str], expected: float) -> None:
    adaptive = guiding(*words)
    groups = [
        group_of([0.5, 0.3], guided=1),
        group_of([1.0, 0.0], guided=1, dropped=Drop.NO_SIGNAL),
        group_of([], dropped=Drop.FAILED),
        group_of([float("nan"), 1.0], dropped=Drop.NO_REWARD),
    ]
    adaptive.learn(0, groups)
    assert adaptive.state(1)["means"] == pytest.approx([expected])


def test_a_step_without_rollouts_leaves_the_length_as_it_is() -> None:
    adaptive = taught(guiding(), 0.5, 0.25)
    adaptive.learn(2, [group_of([], dropped=Drop.FAILED)])
    assert adaptive.state(3) == adaptive.state(2) == {"lengths": [2000], "means": [0.5, 0.25]}


def test_a_step_that_is_trained_again_was_learned_from_before() -> None:
    adaptive = taught(guiding(), 0.2, 0.4)
    before = adaptive.state(2)
    adaptive.learn(1, [group_of([0.9])])
    assert adaptive.state(2) == before


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.integers(0, 7), st.integers(0, 2))
def test_a_resumed_controller_goes_on_as_if_it_had_not_stopped(means: list[float], stop: int, staleness: int) -> None:
    config = settings(f"max_staleness={staleness}")
    stop = min(stop, len(means))
    whole = taught(GuidanceLength(config, STEPS), *means)
    state = json.loads(json.dumps(whole.state(stop)))  # trained past the checkpoint: its state is that of then
    resumed = GuidanceLength(config, STEPS, stop, state)
    whole.forget_before(stop)
    for step in range(stop, len(means)):
        assert resumed.length(step + staleness) == whole.length(step + staleness)
        resumed.learn(step, [group_of([means[step]])])
    assert resumed.state(len(means)) == whole.state(len(means))


def test_a_run_that_gets_a_controller_in_the_middle_begins_with_l0() -> None:
    late = GuidanceLength(settings(), STEPS, trained=3, state={})
    assert late.length(3) == 1000
    late.learn(3, [group_of([0.4])])
    late.learn(4, [group_of([0.8])])
    assert late.length(5) == 500


@pytest.fixture
def prompt() -> Callable[[bool], Prompt]:
    def make(guided: bool) -> Prompt:
        ids_T = np.arange(600, dtype=np.int32)
        trajectory = Trajectory(ids_T, ids_T + 1, "x" * 600, at=2)
        return Prompt(Problem("p", "?", "1"), [7, 7], trajectory if guided else None)

    return make


def test_a_hint_is_the_rounded_length_for_the_first_of_the_group(prompt: Callable[[bool], Prompt]) -> None:
    adaptive = taught(guiding("sampling.group_size=6", "guidance.ratio=0.25"), 0.2, 0.4)
    whole, short = adaptive.hint(prompt(True), 0), adaptive.hint(prompt(True), 2)
    assert whole is not None and (len(whole.token_ids), whole.rollouts) == (600, 2)
    assert short is not None and short.token_ids == list(range(500))
    assert adaptive.hint(prompt(False), 0) is None
    assert guiding("guidance=none").hint(prompt(True), 0) is None
    assert guiding("guidance.ratio=0.01").hint(prompt(True), 0) is None
    assert guiding("guidance=rdp", "guidance.decay_steps=2").hint(prompt(True), 5) is None


def test_the_decay_ends_with_nothing_at_the_last_step() -> None:
    assert guiding("guidance=rdp").length(STEPS - 1) == 0 < known(guiding("guidance=rdp").length(STEPS - 2))


def test_the_length_may_change_at_every_third_step_alone() -> None:
    adaptive = taught(guiding("guidance.adapt_every=3"), 0.2, 0.4, 0.5, 0.1, 0.1, 0.9)
    assert [adaptive.length(step) for step in range(7)] == pytest.approx([1000, 1000, 1000, 600, 600, 600, 300])


def known(length: float | None) -> float:
    assert length is not None
    return length
