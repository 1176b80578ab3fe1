"""Spread, time to a target, and the paired bootstrap: by hand, by independent recomputation, by its properties."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raysgpo.studies.comparison.statistics import (
    Floats,
    Interval,
    first_reach,
    paired_differences,
    paired_reach,
    spread,
)

RIGHT = arrays(np.float64, (3, 2, 12), elements=st.sampled_from([0.0, 1.0]))
STEPS = (0, 10)


def test_spread_is_the_sample_standard_deviation_of_what_is_there() -> None:
    found = spread([0.2, None, 0.4, float("nan"), 0.9])
    assert found is not None and found.count == 3
    assert (found.mean, found.std) == pytest.approx((0.5, statistics.stdev([0.2, 0.4, 0.9])))
    single = spread([0.3])
    assert single is not None and (single.mean, single.std, single.count) == (0.3, None, 1)
    assert spread([None, float("nan")]) is None and spread([]) is None


@pytest.mark.parametrize(
    ("accuracy", "target", "expected"),
    [
        ([0.1, 0.3, 0.5], 0.4, 15.0),
        ([0.1, 0.3, 0.5], 0.3, 10.0),
        ([0.1, 0.3, 0.5], 0.1, 0.0),
        ([0.5, 0.3, 0.6], 0.4, 0.0),
        ([0.1, 0.6, 0.2], 0.35, 5.0),
        ([0.1, 0.3, 0.5], 0.51, None),
    ],
)
def test_the_first_time_a_target_is_reached_by_hand(
    accuracy: list[float], target: float, expected: float | None
) -> None:
    found = first_reach([0, 10, 20], accuracy, target)
    assert found == (pytest.approx(expected) if expected is not None else None)


SHARES = st.integers(0, 512).map(lambda right: right / 512)  # what differs by less than rounding counts as equal


@given(st.lists(SHARES, min_size=1, max_size=8), SHARES.filter(bool))
def test_a_target_is_reached_between_the_last_evaluation_below_and_the_first_above(
    accuracy: list[float], target: float
) -> None:
    found = first_reach(range(len(accuracy)), accuracy, target)
    above = [index for index, value in enumerate(accuracy) if value >= target]
    if not above:
        assert found is None
    else:
        assert found is not None and max(above[0] - 1, 0) <= found <= above[0]


def compare(first: Floats, second: Floats, seed: int = 0) -> list[Interval]:
    return paired_differences(first, second, resamples=400, seed=seed)


def reach(first: Floats, second: Floats, target: float = 0.5) -> Interval | None:
    return paired_reach(first, second, STEPS, target, resamples=400)


@given(RIGHT)
def test_a_variant_compared_with_itself_differs_by_exactly_nothing(right: Floats) -> None:
    assert compare(right, right) == [Interval(0.0, 0.0, 0.0)] * 2
    assert not compare(right, right)[0].excludes_zero
    assert reach(right, right) in (None, Interval(0.0, 0.0, 0.0))


@given(RIGHT, RIGHT)
def test_the_other_way_round_every_difference_has_the_other_sign(first: Floats, second: Floats) -> None:
    for one, other in zip(compare(first, second), compare(second, first), strict=True):
        assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))


@given(RIGHT, RIGHT, st.permutations(range(12)))
def test_the_difference_is_the_mean_over_seeds_and_prompts_in_any_order(
    first: Floats, second: Floats, order: list[int]
) -> None:
    found = compare(first[:, :, order], second[:, :, order])
    for index, one in enumerate(found):
        assert one.difference == pytest.approx(second[:, index].mean() - first[:, index].mean())
        assert one.low - 1e-12 <= one.high and one.low >= -1 and one.high <= 1


def test_a_difference_that_all_prompts_and_seeds_share_has_no_width() -> None:
    nothing, everything = np.zeros((3, 2, 12)), np.ones((3, 2, 12))
    for one in compare(nothing, everything):
        assert (one.difference, one.low, one.high) == pytest.approx((1, 1, 1))
    # The first never reaches the target and counts its last step, the second has it from the start.
    assert reach(nothing, everything) == Interval(-10, -10, -10)
    assert reach(nothing, nothing) is None


def test_steps_to_the_target_are_those_of_the_mean_curves() -> None:
    first, second = np.zeros((2, 2, 10)), np.zeros((2, 2, 10))
    first[:, 1, :5] = 1  # 0.5 after ten steps
    second[:, 1, :] = 1  # 1.0 after ten steps: 0.5 after five
    found = reach(first, second)
    assert found is not None and found.difference == pytest.approx(-5)
    # Half of the resamples of the first fall short of the target and count ten steps, which is what the others need.
    assert found.low == pytest.approx(-5) and -5 <= found.high < 0


def test_without_a_target_it_is_what_the_first_ends_with_in_every_resample() -> None:
    rng = np.random.default_rng(2)
    chance = np.array([0.1, 0.2, 0.3, 0.4])[None, :, None]
    hard = rng.random((3, 1, 300))
    first, second = (hard < chance).astype(float), (hard < 2 * chance).astype(float)
    found = paired_reach(first, second, (0, 10, 20, 30), resamples=400)
    # The second has after ten steps what the first has after thirty, on any prompts; a fixed target is missed by half
    # of the resamples of the first, which then count as if they had just reached it.
    assert found is not None and found.low <= found.difference <= found.high
    assert found.difference == pytest.approx(-20, abs=1) and found.low < -19 and found.high > -21
    assert paired_reach(first, first, (0, 10, 20, 30), resamples=400) == Interval(0, 0, 0)


def test_of_one_seed_the_width_is_that_of_the_mean_of_the_prompts() -> None:
    rng = np.random.default_rng(1)
    first, second = (rng.random((1, 1, 800)) < chance for chance in (0.4, 0.5))
    differences = (second.astype(float) - first.astype(float)).ravel()
    error = differences.std() / math.sqrt(differences.size)
    [found] = paired_differences(first.astype(float), second.astype(float), resamples=4000)
    assert found.low == pytest.approx(found.difference - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(found.difference + 1.96 * error, abs=0.15 * error)


def test_pairing_takes_the_difficulty_of_the_prompts_out() -> None:
    """Both solve the easy half; one solves a few prompts more. Unpaired, that is within the noise."""
    first = np.tile((np.arange(200) < 100).astype(float), (1, 1, 1))
    second = np.tile((np.arange(200) < 110).astype(float), (1, 1, 1))
    [found] = paired_differences(first, second, resamples=2000)
    assert found.excludes_zero and found.difference == pytest.approx(0.05)
    unpaired_error = math.sqrt(first.var() / 200 + second.var() / 200)
    assert 1.96 * unpaired_error > found.difference


def test_seeds_that_disagree_widen_the_interval() -> None:
    """Each seed by itself is certain; over seeds it is not."""
    first = np.zeros((3, 1, 50))
    second = np.stack([np.full((1, 50), value) for value in (0.0, 0.0, 1.0)])
    [found] = paired_differences(first, second)
    assert found.difference == pytest.approx(1 / 3) and (found.low, found.high) == (0.0, 1.0)


def test_the_bootstrap_is_what_drawing_seeds_and_prompts_one_by_one_gives() -> None:
    rng = np.random.default_rng(3)
    first, second = ((rng.random((3, 1, 20)) < chance).astype(float) for chance in (0.3, 0.6))
    draws = []
    for _ in range(6000):
        seeds, prompts = rng.integers(3, size=3), rng.integers(20, size=20)
        draws.append(np.mean([second[s, 0, p] - first[s, 0, p] for s in seeds for p in prompts]))
    [found] = paired_differences(first, second, resamples=6000)
    expected = np.quantile(draws, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(expected, abs=0.03)


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    first, second = ((rng.random((3, 2, 30)) < chance).astype(float) for chance in (0.3, 0.5))
    assert compare(first, second, seed=4) == compare(first, second, seed=4)
    assert compare(first, second, seed=4) != compare(first, second, seed=5)
