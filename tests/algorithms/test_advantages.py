"""Advantages against hand-worked values, textbook loops and the rules that hold for any rewards."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.algorithms.advantages import group_advantages, group_std
from raysgpo.algorithms.partial_credit import partial_credit

REWARD = st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 6))
GROUP = st.lists(REWARD, min_size=2, max_size=12)


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
