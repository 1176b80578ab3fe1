"""The schedules of the guidance's length, by hand; and what the adaptive one may never do."""

from __future__ import annotations

import math
from typing import TypedDict

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raysgpo.guidance.schedule import adapted, concave, guided_count, linear, rounded, smoothed, stepwise
from raysgpo.studies.guidance_drift import drift


class Limits(TypedDict):
    window: int
    shortest: float
    longest: float
    max_change: float


PLAIN: Limits = {"window": 2, "shortest": 1.0, "longest": 3072.0, "max_change": 2.0}
"""W = 2 and the limits of the paper's code."""
REWARDS = st.floats(0.01, 1)
LENGTHS = st.floats(1, 3072)


@pytest.mark.parametrize(
    ("ratio", "group_size", "count"),
    [(0, 8, 0), (1, 8, 8), (0.25, 12, 3), (0.75, 12, 9), (0.14, 7, 1), (0.57, 7, 4), (1 / 6, 12, 2), (0.5, 3, 2)],
)
def test_alpha_of_a_group_rounds_half_up(ratio: float, group_size: int, count: int) -> None:
    assert guided_count(ratio, group_size) == count


def test_too_small_a_share_guides_nobody() -> None:
    assert [guided_count(0.1, size) for size in (4, 5)] == [0, 1]


def test_a_length_is_rounded_half_up() -> None:
    assert [rounded(length) for length in (0.49, 0.5, 1.5, 2.4999)] == [0, 1, 2, 2]


def test_the_decays_by_hand() -> None:
    assert [linear(3072, step, 4) for step in range(6)] == [3072, 2304, 1536, 768, 0, 0]
    assert [concave(1600, step, 4, power=2) for step in range(6)] == [1600, 900, 400, 100, 0, 0]
    assert [stepwise(100, step, factor=0.5, every=3) for step in range(8)] == [100] * 3 + [50] * 3 + [25] * 2


@given(LENGTHS, st.integers(1, 50), st.floats(1.01, 5), st.floats(0.05, 0.95), st.integers(1, 9))
def test_every_decay_begins_at_l0_and_never_grows(
    length: float, steps: int, power: float, factor: float, every: int
) -> None:
    for curve in (
        [linear(length, step, steps) for step in range(steps + 2)],
        [concave(length, step, steps, power) for step in range(steps + 2)],
        [stepwise(length, step, factor, every) for step in range(steps + 2)],
    ):
        assert curve[0] == length and curve == sorted(curve, reverse=True) and curve[-1] >= 0


@given(LENGTHS, st.integers(1, 50), st.floats(1.01, 5), st.integers(0, 60))
def test_a_concave_decay_lies_below_the_line(length: float, steps: int, power: float, step: int) -> None:
    assert concave(length, step, steps, power) <= linear(length, step, steps) + 1e-9


def test_rising_rewards_shorten_the_guidance() -> None:
    """The trap: eq. 5 is printed with the ratio the other way up and would give 1667."""
    assert adapted(1000, [0.2, 0.4, 0.5], **PLAIN) == pytest.approx(600)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([], 1000),
        ([0.5], 1000),  # no earlier step to compare with
        ([0.2, 0.4], 500),
        ([0.4, 0.3], 1000 * 4 / 3),  # min(W, k) earlier steps
        ([0.9, 0.2, 0.4, 0.5], 600),  # the window forgets
        ([0.5, 0.5, 0.1], 2000),  # five times, but a step changes it twofold at most
        ([0.1, 0.1, 0.9], 500),
        ([0.0, 0.0, 0.9], 500),  # nothing, and now something
        ([0.4, 0.2, 0.0], 2000),  # no reward at all: the largest change
        ([0.4, 0.2, 1e-9], 2000),  # as for nearly none
        ([0.0, 0.0, 0.0], 2000),  # and no freeze where all of them are 0
        ([0.0], 1000),
        ([-3.0, -2.0, -1.0], 2000),  # below 0 counts as 0
        ([0.4, None, 0.2, 0.3], 1000),  # a step without rollouts is no step
        ([0.4, 0.2, None], 1000),
        ([None, 0.2], 1000),
    ],
)
def test_the_adaptive_length_by_hand(means: list[float | None], expected: float) -> None:
    assert adapted(1000, means, **PLAIN) == pytest.approx(expected)


def test_a_length_is_kept_between_its_limits() -> None:
    assert adapted(1.5, [0.1, 0.9], **PLAIN) == 1
    assert adapted(2000, [0.9, 0.1], **PLAIN) == 3072


def test_without_a_largest_change_only_the_limits_hold() -> None:
    free: Limits = {**PLAIN, "max_change": math.inf}
    assert adapted(100, [0.5, 0.5, 0.1], **free) == pytest.approx(500)
    assert (adapted(100, [0.5, 0.0], **free), adapted(100, [0.0, 0.5], **free)) == (3072, 1)


def test_a_smoothed_reward_by_hand() -> None:
    assert smoothed([0.4, 0.8, None, 0.0], 0.5) == pytest.approx([0.4, 0.6, None, 0.3])
    assert smoothed([0.4, 0.8], 0.0) == [0.4, 0.8]


def test_a_short_length_still_moves_because_it_is_not_rounded() -> None:
    length, means = 1.0, [0.55]
    for step in range(12):
        means.append(0.5 if step % 2 == 0 else 0.45)
        length = adapted(length, means, **PLAIN)
    assert 1 < length < 2


@given(LENGTHS, st.lists(REWARDS, min_size=2, max_size=6), st.floats(1.01, 4), st.floats(1, 50), st.floats(50, 3072))
def test_a_step_stays_within_the_limits_and_the_largest_change(
    length: float, means: list[float], change: float, shortest: float, longest: float
) -> None:
    length = min(max(length, shortest), longest)
    found = adapted(length, means, window=2, shortest=shortest, longest=longest, max_change=change)
    assert shortest <= found <= longest
    assert length / change * (1 - 1e-12) <= found <= length * change * (1 + 1e-12)


@given(LENGTHS, st.lists(REWARDS, min_size=1, max_size=5), REWARDS, REWARDS, st.integers(1, 4))
def test_the_better_the_step_the_shorter_the_guidance(
    length: float, earlier: list[float], worse: float, better: float, window: int
) -> None:
    assume(worse < better)
    lengths = [adapted(length, [*earlier, now], **(PLAIN | {"window": window})) for now in (0.0, worse, better)]
    assert lengths == sorted(lengths, reverse=True)


@given(LENGTHS, st.lists(REWARDS, min_size=1, max_size=6), st.floats(0.1, 10))
def test_the_unit_of_the_reward_does_not_matter(length: float, means: list[float], unit: float) -> None:
    scaled = adapted(length, [unit * mean for mean in means], **PLAIN)
    assert scaled == pytest.approx(adapted(length, means, **PLAIN), rel=1e-9)


@given(LENGTHS, REWARDS, st.integers(2, 6))
def test_equal_rewards_leave_the_length_as_it_is(length: float, mean: float, steps: int) -> None:
    assert adapted(length, [mean] * steps, **PLAIN) == pytest.approx(length)


def test_in_noise_the_length_drifts_upwards_and_less_so_by_smoothed_rewards() -> None:
    """Jensen: 1 / r is convex."""
    wide, narrow = drift(0.2), drift(0.1)
    assert wide > 5 > narrow > 1.2
    assert abs(drift(0.2, smoothing=0.5) - 1) < 1 and abs(drift(0.2, smoothing=0.9) - 1) < 0.1
