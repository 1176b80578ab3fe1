"""Advantages against hand-worked values, textbook loops and the rules that hold for any rewards."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.algorithms.advantages import SCALES, group_advantages, group_std
from raysgpo.algorithms.baselines import BASELINES
from raysgpo.algorithms.partial_credit import partial_credit

THRESHOLD = [name for name, row in BASELINES.items() if row.threshold]
REWARD = st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 6))
GROUP = st.lists(REWARD, min_size=2, max_size=12)
ANY_REWARD = st.one_of(
    st.sampled_from([0.0, 1.0, 0.5, -1.0, 1e-300, -1e300, 1e300]), st.floats(-1e300, 1e300, allow_nan=False)
)
ANY_GROUP = st.lists(ANY_REWARD, min_size=1, max_size=12)
"""Any size, ties, and values from the smallest to nearly the largest there are."""


def test_the_worked_example_of_sgpo() -> None:
    rewards_G = [partial_credit(rts) for rts in (0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.6, 0.9)]
    advantages_G = group_advantages(rewards_G)
    assert advantages_G[0] == pytest.approx(-0.62, abs=0.005)
    assert advantages_G[6] == pytest.approx(1.26, abs=0.005)


def test_one_right_answer_of_four_by_hand() -> None:
    # mean 1/4; sample variance (9/16 + 3/16) / 3 = 1/4, population variance 3/16
    sample_G = group_advantages([1, 0, 0, 0], eps=0.0)
    np.testing.assert_allclose(sample_G, [1.5, -0.5, -0.5, -0.5], rtol=1e-15)
    population_G = group_advantages([1, 0, 0, 0], eps=0.0, ddof=0)
    np.testing.assert_allclose(population_G, np.array([3, -1, -1, -1]) / math.sqrt(3), rtol=1e-15)
    np.testing.assert_array_equal(group_advantages([1, 0, 0, 0], scale="none"), [0.75, -0.25, -0.25, -0.25])
    np.testing.assert_allclose(group_advantages([1, 0, 0, 0], eps=0.5), [0.75, -0.25, -0.25, -0.25])


@given(GROUP, st.sampled_from([0, 1]))
def test_equation_1_recomputed_with_the_standard_library(rewards: list[float], ddof: int) -> None:
    std = statistics.stdev(rewards) if ddof else statistics.pstdev(rewards)
    expected = [(r - statistics.fmean(rewards)) / (std + 1e-6) for r in rewards]
    if max(rewards) == min(rewards):
        expected = [0.0] * len(rewards)
    np.testing.assert_allclose(group_advantages(rewards, ddof=ddof), expected, rtol=1e-7, atol=1e-7)


@given(st.floats(-1e6, 1e6, allow_nan=False), st.integers(2, 16))
def test_equal_rewards_give_exact_zeros_under_the_mean_even_with_eps_0(reward: float, size: int) -> None:
    for scale in ("group_std", "none"):
        assert not group_advantages([reward] * size, scale=scale, eps=0.0).any()


def test_equal_rewards_whose_mean_rounds_away_from_them_still_give_zeros() -> None:
    rewards_G = np.full(3, 0.1)
    assert rewards_G.sum() / 3 != 0.1, "the case is about a rounding error"
    assert not group_advantages(rewards_G).any()


def test_without_a_baseline_an_equal_group_keeps_its_rewards() -> None:
    np.testing.assert_array_equal(group_advantages([-1, -1, -1], baseline="none", scale="none"), [-1, -1, -1])


@given(GROUP, st.data())
def test_a_rollout_outside_the_baseline_changes_nothing_for_the_others(
    rewards: list[float], data: st.DataObject
) -> None:
    part = data.draw(st.lists(st.booleans(), min_size=len(rewards), max_size=len(rewards)))
    advantages_G = group_advantages(rewards, part)
    inside = [r for r, p in zip(rewards, part, strict=True) if p]
    expected = group_advantages(inside) if inside else np.zeros(0)
    np.testing.assert_allclose(advantages_G[np.array(part)], expected, rtol=1e-9, atol=1e-9)
    assert not advantages_G[~np.array(part)].any()


def test_the_excluded_reward_may_be_anything() -> None:
    masked_G = group_advantages([1.0, math.nan, 0.0], [True, False, True])
    np.testing.assert_array_equal(masked_G[[0, 2]], group_advantages([1.0, 0.0]))
    assert masked_G[1] == 0


def test_fewer_than_two_that_take_part_have_no_signal() -> None:
    assert not group_advantages([1.0, 0.5, 0.0], [False, True, False], eps=0.0).any()
    assert not group_advantages([1.0, 0.5], [False, False], eps=0.0).any()
    assert not group_advantages([1.0], eps=0.0).any()


@given(st.lists(st.lists(REWARD, min_size=4, max_size=4), min_size=1, max_size=5))
def test_groups_of_a_step_are_treated_alike_and_apart(rewards: list[list[float]]) -> None:
    together_PG = group_advantages(rewards)
    np.testing.assert_array_equal(together_PG, np.stack([group_advantages(group) for group in rewards]))


@given(GROUP)
def test_order_and_sign(rewards: list[float]) -> None:
    advantages_G = group_advantages(rewards)
    assert abs(advantages_G.sum()) < 1e-6 * len(rewards)
    np.testing.assert_allclose(group_advantages([-r for r in rewards]), -advantages_G, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(group_advantages(rewards[::-1]), advantages_G[::-1], rtol=1e-6, atol=1e-6)
    for r, a in zip(rewards, advantages_G, strict=True):
        for s, b in zip(rewards, advantages_G, strict=True):
            assert r <= s or a >= b, "a better reward never has the worse advantage"


def test_the_sample_std_is_larger_by_the_bessel_factor() -> None:
    rewards_G = [0.0, 0.25, 1.0]
    ratio = group_std(rewards_G, ddof=1) / group_std(rewards_G, ddof=0)
    assert ratio.item() == pytest.approx(math.sqrt(3 / 2), rel=1e-14)


def test_unknown_names_and_infinite_rewards_are_programming_errors() -> None:
    with pytest.raises(AssertionError, match="baseline 'median'"):
        group_advantages([1.0, 0.0], baseline="median")
    with pytest.raises(AssertionError, match="scale 'range'"):
        group_advantages([1.0, 0.0], scale="range")
    with pytest.raises(AssertionError, match="finite"):
        group_advantages([1.0, math.inf])
    with pytest.raises(AssertionError, match="needs r_min_correct"):
        group_advantages([1.0, 0.0], baseline="corpo", scale="none")


def test_under_a_threshold_the_groups_std_leaves_equal_groups_out() -> None:
    """By hand: static at 0.5, rewards 1 and 0, whose sample std is sqrt(1/2); a failed, equal group has none."""
    found = group_advantages([[1.0, 0.0], [0.0, 0.0]], baseline="static", r_min_correct=0.5, eps=0.0)
    assert found.tolist() == [pytest.approx([0.5 / math.sqrt(0.5), -0.5 / math.sqrt(0.5)]), [0.0, 0.0]]
    assert group_advantages([0.0, 0.0], baseline="corpo", r_min_correct=0.5).tolist() == [0.0, 0.0]


def test_every_baseline_by_hand() -> None:
    rewards = [4.0, 1.0, 0.0, 1.0]  # mean 1.5

    def found(baseline: str, r_min_correct: float | None = None) -> list[float]:
        return group_advantages(rewards, baseline=baseline, scale="none", r_min_correct=r_min_correct).tolist()

    assert found("none") == rewards
    assert found("mean") == [2.5, -0.5, -1.5, -0.5]
    assert found("leave_one_out") == pytest.approx([4 - 2 / 3, 1 - 5 / 3, 0 - 2.0, 1 - 5 / 3])
    assert found("static", 3.0) == [1.0, -2.0, -3.0, -2.0]
    assert found("corpo", 3.0) == [1.0, -2.0, -3.0, -2.0], "the mean is below the threshold"
    assert found("corpo", 1.0) == found("mean"), "and here above it"
    fixed = group_advantages(rewards, baseline="static", scale="fixed", fixed_scale=4.0, r_min_correct=3.0)
    assert fixed.tolist() == [0.25, -0.5, -0.75, -0.5]


def test_a_threshold_at_the_largest_reward_reinforces_nobody() -> None:
    for baseline in THRESHOLD:
        found = group_advantages([1, 1, 0, 0], baseline=baseline, scale="none", r_min_correct=1.0)
        assert found.tolist() == [0, 0, -1, -1]


@pytest.mark.parametrize("baseline", THRESHOLD)
@given(rewards=ANY_GROUP, threshold=ANY_REWARD, data=st.data())
def test_correctness_guarantee(baseline: str, rewards: list[float], threshold: float, data: st.DataObject) -> None:
    size = len(rewards)
    part = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    beside = data.draw(st.lists(st.floats(-1e3, 1e3, allow_nan=False), min_size=size, max_size=size))
    advantages_G = group_advantages(
        rewards, part, auxiliary_G=beside, baseline=baseline, scale="none", r_min_correct=threshold
    )
    failed_G = np.array(rewards) < threshold
    assert (advantages_G[failed_G & part] < 0).all()
    assert not advantages_G[~part].any()


@pytest.mark.parametrize("baseline", THRESHOLD)
@given(rewards=ANY_GROUP, threshold=ANY_REWARD)
def test_proportional_feedback(baseline: str, rewards: list[float], threshold: float) -> None:
    """Among all answers, and so among the failed ones, A rises with R."""
    advantages_G = group_advantages(rewards, baseline=baseline, scale="none", r_min_correct=threshold)
    order = np.argsort(rewards)
    assert (np.diff(advantages_G[order]) >= 0).all()
    small = [round(r % 7, 3) for r in rewards]  # where no digit is lost, the distances are the same
    advantages_G = group_advantages(small, baseline=baseline, scale="none", r_min_correct=6.5)
    np.testing.assert_allclose(advantages_G - advantages_G[0], np.array(small) - small[0], atol=1e-12)


@given(ANY_GROUP, st.floats(0, 1e300))
def test_above_the_threshold_corpo_is_the_mean_baseline_bit_for_bit(rewards: list[float], below: float) -> None:
    """The mean is never below the least reward, so no threshold at or below that one binds."""
    mean_G = group_advantages(rewards, baseline="mean", scale="none")
    for threshold in (min(rewards), min(rewards) - below):
        corpo_G = group_advantages(rewards, baseline="corpo", scale="none", r_min_correct=threshold)
        np.testing.assert_array_equal(corpo_G, mean_G)


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=9), st.integers(-8, 8))
def test_corpo_is_the_lower_of_the_two_others(rewards: list[int], threshold: int) -> None:
    mean, static, corpo = (
        group_advantages(rewards, baseline=baseline, scale="none", r_min_correct=threshold)
        for baseline in ("mean", "static", "corpo")
    )
    np.testing.assert_array_equal(corpo, np.minimum(mean, static))
    # At the threshold itself rounding decides which of the two, equal but for a last digit, is the lower.
    if sum(rewards) > threshold * len(rewards):
        np.testing.assert_array_equal(corpo, mean)
    if sum(rewards) < threshold * len(rewards):
        np.testing.assert_array_equal(corpo, static)


@given(GROUP)
def test_leave_one_out_recomputed(rewards: list[float]) -> None:
    others = [statistics.fmean(rewards[:i] + rewards[i + 1 :]) for i in range(len(rewards))]
    found = group_advantages(rewards, baseline="leave_one_out", scale="none")
    np.testing.assert_allclose(found, np.array(rewards) - others, atol=1e-12)
    if max(rewards) == min(rewards):
        assert not found.any()


def test_other_parts_cannot_shift_the_threshold() -> None:
    """Format bonuses of 0.3: neither does a failed answer pass with one, nor the threshold move."""
    rewards, beside = [0.4, 0.4, 0.9, 0.9], [0.3, 0.0, 0.3, 0.0]
    found = group_advantages(rewards, auxiliary_G=beside, baseline="static", scale="none", r_min_correct=0.5)
    assert found.tolist() == pytest.approx([-0.1, -0.1 - 0.15, 0.4 + 0.15, 0.4 - 0.15])
    lifted = group_advantages(rewards, auxiliary_G=[5.0] * 4, baseline="static", scale="none", r_min_correct=0.5)
    assert lifted.tolist() == pytest.approx([-0.1, -0.1, 0.4, 0.4]), "what all have alike shifts nothing"
    whole = group_advantages(rewards, auxiliary_G=beside, baseline="mean", scale="none")
    assert whole.tolist() == pytest.approx([-0.1, -0.4, 0.4, 0.1]), "the mean compares whole rewards"


@given(ANY_GROUP, st.data())
def test_everything_is_finite_and_zero_outside_the_baseline(rewards: list[float], data: st.DataObject) -> None:
    part = np.array(data.draw(st.lists(st.booleans(), min_size=len(rewards), max_size=len(rewards))))
    for baseline in BASELINES:
        for scale in SCALES:
            if scale == "group_std" and baseline in THRESHOLD:
                continue
            advantages_G = group_advantages(
                rewards, part, baseline=baseline, scale=scale, r_min_correct=0.5, fixed_scale=2.0
            )
            assert np.isfinite(advantages_G).all() and not advantages_G[~part].any()


def test_a_hundred_thousand_groups_at_once_are_the_groups_one_by_one() -> None:
    draw = np.random.default_rng(0)
    rewards_PG, part_PG = draw.normal(size=(100_000, 8)), draw.random((100_000, 8)) < 0.9
    for baseline in BASELINES:
        scale = "none" if baseline in THRESHOLD else "group_std"
        together_PG = group_advantages(rewards_PG, part_PG, baseline=baseline, scale=scale, r_min_correct=0.5)
        for p in range(0, 100_000, 9973):
            alone_G = group_advantages(rewards_PG[p], part_PG[p], baseline=baseline, scale=scale, r_min_correct=0.5)
            np.testing.assert_array_equal(together_PG[p], alone_G)
