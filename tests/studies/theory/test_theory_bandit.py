"""The sampled bandit: its expectation by enumeration is the closed form, and samples come near it."""

from __future__ import annotations

import math
from itertools import islice, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.algorithms.advantages import group_advantages
from raysgpo.algorithms.aggregation import aggregate
from raysgpo.studies.theory.bandit import PARTIAL_CREDIT, estimate, group_moves, relative_error, rewards, training
from raysgpo.studies.theory.dynamics import MOVES, Curve, closed_form

CHANCE = st.floats(0.01, 0.99)
POINTS = [(0.8, 0.5), (0.7, 0.4), (0.9, 0.8)]


def expectation(p: float, q: float, rewards_R: np.ndarray, size: int = 2) -> np.ndarray:
    """(a_p, a_q) over all groups of ``size`` responses with 0, 1 or 2 right steps, [H]."""
    chances_R = np.array([1 - p, p * (1 - q), p * q])
    right_NG = np.array(list(product(range(3), repeat=size)))
    return chances_R[right_NG].prod(axis=1) @ group_moves(p, q, right_NG, rewards_R)


def test_the_rewards_are_those_of_the_paper() -> None:
    assert rewards(PARTIAL_CREDIT["sgpo"]).tolist() == [0, 0.5, 1]
    assert rewards(PARTIAL_CREDIT["grpo"]).tolist() == [0, 0, 1]


@pytest.mark.parametrize("method", MOVES)
@given(p=CHANCE, q=CHANCE)
def test_over_all_nine_groups_the_expectation_is_the_closed_form(method: str, p: float, q: float) -> None:
    found = expectation(p, q, rewards(PARTIAL_CREDIT[method]))
    np.testing.assert_allclose(found, MOVES[method](p, q), rtol=1e-9, atol=1e-15)


@given(p=CHANCE, q=CHANCE)
def test_equation_2_gives_the_gradient_of_the_papers_rewards(p: float, q: float) -> None:
    np.testing.assert_allclose(expectation(p, q, rewards("sgpo")), MOVES["sgpo"](p, q), rtol=1e-9, atol=1e-15)


def test_partial_credit_changes_no_group_that_has_a_right_answer() -> None:
    mixed_NG = np.array([(2, 0), (2, 1), (0, 2), (1, 2), (2, 2)])
    with_credit, without = (group_moves(0.3, 0.6, mixed_NG, rewards(kind)) for kind in ("raw", "none"))
    np.testing.assert_allclose(with_credit, without, rtol=1e-12)
    assert np.abs(with_credit[:4]).max(axis=1).min() > 0


def test_a_larger_group_is_another_dynamic() -> None:
    found = expectation(0.5, 0.5, rewards("none"), size=4)
    assert abs(found / MOVES["grpo"](0.5, 0.5) - 1).min() > 0.05


def test_the_samples_std_would_scale_the_gradient_by_1_over_sqrt_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def sample_std(rewards_G: np.ndarray, **options: object) -> np.ndarray:
        return group_advantages(rewards_G, eps=0.0, ddof=1)

    monkeypatch.setattr("raysgpo.studies.theory.bandit.group_advantages", sample_std)
    found = expectation(0.6, 0.3, rewards("raw"))
    np.testing.assert_allclose(found, np.array(MOVES["sgpo"](0.6, 0.3)) / math.sqrt(2), rtol=1e-12)


def test_the_mean_over_groups_is_a_softmax_policys_gradient_under_constant_aggregation() -> None:
    p, q, rewards_R = 0.3, 0.6, rewards("raw")
    right_NG = np.random.default_rng(0).integers(0, 3, (50, 2))
    ones = [[np.ones(2)] * 2] * 50  # (1,1) is two steps long as well
    total_HA = np.zeros((2, 2))  # by the logits of the bad and the good action of each step
    for right_G in right_NG:
        advantages_G = group_advantages(rewards_R[right_G], ddof=0, eps=0.0)
        for right, advantage in zip(right_G, advantages_G, strict=True):
            total_HA[0] += advantage * (np.eye(2)[int(right > 0)] - [1 - p, p])
            if right > 0:
                total_HA[1] += advantage * (np.eye(2)[int(right > 1)] - [1 - q, q])
    step_HA = total_HA / aggregate("constant", ones, max_tokens=2).denominator
    expected = step_HA[:, 1] - step_HA[:, 0]
    np.testing.assert_allclose(group_moves(p, q, right_NG, rewards_R).mean(axis=0), expected, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("method", MOVES)
def test_sampled_gradients_are_within_1_percent_at_three_points(method: str) -> None:
    for row, (p, q) in enumerate(POINTS):
        found = estimate(method, p, q, 600_000, np.random.default_rng([7, row]))
        exact = MOVES[method](p, q)
        assert max(error / move for error, move in zip(found.errors, exact, strict=True)) < 0.0035, "enough groups"
        assert max(map(relative_error, found.moves, exact)) < 0.01


def test_errors_are_as_large_as_the_standard_error_says() -> None:
    exact, scaled = MOVES["sgpo"](0.5, 0.5), []
    for seed in range(200):
        found = estimate("sgpo", 0.5, 0.5, 500, np.random.default_rng(seed))
        scaled += [(a - b) / error for a, b, error in zip(found.moves, exact, found.errors, strict=True)]
    assert np.mean(scaled) == pytest.approx(0, abs=0.25)
    assert np.std(scaled) == pytest.approx(1, abs=0.2)


def test_the_estimate_does_not_depend_on_how_many_groups_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does its standard error: over batches it is that of all groups together."""
    from raysgpo.studies.theory import bandit

    seen: list[np.ndarray] = []
    moves = group_moves

    def remembered(*words: Any) -> np.ndarray:
        seen.append(moves(*words))
        return seen[-1]

    monkeypatch.setattr(bandit, "_BATCH", 300)
    monkeypatch.setattr(bandit, "group_moves", remembered)
    found = estimate("grpo", 0.4, 0.7, 1000, np.random.default_rng(1))
    moves_NH = np.concatenate(seen)
    assert [len(part) for part in seen] == [300, 300, 300, 100]
    np.testing.assert_allclose(found.moves, moves_NH.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.errors, moves_NH.std(axis=0, ddof=1) / math.sqrt(1000), rtol=1e-9)


def test_sampled_training_follows_the_closed_form_and_closer_with_more_groups() -> None:
    for method in MOVES:
        exact = Curve.of(closed_form(method), 30)
        few, many = (np.mean([distance(exact, method, groups, seed) for seed in range(4)]) for groups in (40, 4000))
        assert many < 0.02 and many < few / 3


def distance(exact: Curve, method: str, groups: int, seed: int) -> float:
    sampled = Curve.of(training(method, groups, np.random.default_rng(seed)), 30)
    return float(np.abs(sampled.pq_K - exact.pq_K).max())


def test_the_same_seed_gives_the_same_training() -> None:
    one, two, other = (list(islice(training("sgpo", 100, np.random.default_rng(seed)), 4)) for seed in (3, 3, 4))
    assert one == two != other
