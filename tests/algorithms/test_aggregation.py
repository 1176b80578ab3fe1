"""Aggregation: the weighted sum over one denominator equals the textbook formula of each mode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from raysgpo.algorithms.aggregation import MODES, aggregate

Array = NDArray[np.float64]
LENGTHS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=4)
MAX_TOKENS = 16


def ones(lengths: Sequence[Sequence[int]]) -> list[list[Array]]:
    return [[np.ones(length) for length in group] for group in lengths]


def losses(lengths: Sequence[Sequence[int]], seed: int = 0) -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=length) for length in group] for group in lengths]


def reduced(mode: str, masks: list[list[Array]], token_losses: list[list[Array]]) -> float:
    """What the trainer computes: the sum of w l over D."""
    result = aggregate(mode, masks, MAX_TOKENS)
    total = sum(
        float(w_T @ l_T)
        for weights, group in zip(result.weights, token_losses, strict=True)
        for w_T, l_T in zip(weights, group, strict=True)
    )
    return total / result.denominator


def textbook(mode: str, groups: list[list[Array]]) -> float:
    sequences = [l_T for group in groups for l_T in group]
    if mode == "token-mean":
        return float(np.concatenate(sequences).mean())
    if mode == "sequence-mean":
        return float(np.mean([l_T.mean() for l_T in sequences]))
    if mode == "group-token-mean":
        return float(np.mean([np.concatenate(group).mean() for group in groups]))
    assert mode == "constant"
    return float(np.mean([l_T.sum() / MAX_TOKENS for l_T in sequences]))


@pytest.mark.parametrize("mode", MODES)
@given(lengths=LENGTHS)
def test_the_textbook_formula(mode: str, lengths: list[list[int]]) -> None:
    token_losses = losses(lengths)
    assert reduced(mode, ones(lengths), token_losses) == pytest.approx(textbook(mode, token_losses), abs=1e-12)


@pytest.mark.parametrize("mode", MODES)
@given(lengths=LENGTHS, seed=st.integers(0, 5))
def test_tokens_without_loss_weight_might_as_well_not_be_there(mode: str, lengths: list[list[int]], seed: int) -> None:
    bare = losses(lengths)
    rng = np.random.default_rng(seed)
    masks, padded = [], []
    for group in bare:
        prompts = [int(rng.integers(0, 4)) for _ in group]
        masks.append([np.concatenate([np.zeros(p), np.ones(len(g))]) for p, g in zip(prompts, group, strict=True)])
        padded.append([np.concatenate([np.full(p, 99.0), g]) for p, g in zip(prompts, group, strict=True)])
    assert reduced(mode, masks, padded) == pytest.approx(textbook(mode, bare), abs=1e-12)


def test_by_hand() -> None:
    masks = ones([[1, 3], [4]])
    token_losses = [[np.array([8.0]), np.full(3, 4.0)], [np.full(4, 1.0)]]
    assert reduced("token-mean", masks, token_losses) == (8 + 12 + 4) / 8
    assert reduced("sequence-mean", masks, token_losses) == pytest.approx((8 + 4 + 1) / 3)
    assert reduced("group-token-mean", masks, token_losses) == (20 / 4 + 1) / 2
    assert reduced("constant", masks, token_losses) == 24 / (3 * MAX_TOKENS)


def test_fractional_loss_weights_count_as_fractions_of_a_token() -> None:
    masks = [[np.array([0.5, 1.0])]]
    assert aggregate("token-mean", masks, MAX_TOKENS).denominator == 1.5
    assert reduced("sequence-mean", masks, [[np.array([3.0, 6.0])]]) == pytest.approx((1.5 + 6) / 1.5)


def test_sequences_and_groups_without_loss_are_not_averaged_over() -> None:
    masks = [[np.ones(2), np.zeros(3)], [np.zeros(1)]]
    assert aggregate("sequence-mean", masks, MAX_TOKENS).denominator == 1
    assert aggregate("group-token-mean", masks, MAX_TOKENS).denominator == 1
    assert aggregate("constant", masks, MAX_TOKENS).denominator == 3 * MAX_TOKENS


@pytest.mark.parametrize("mode", MODES)
def test_a_step_without_groups_has_denominator_0(mode: str) -> None:
    result = aggregate(mode, [], MAX_TOKENS)
    assert result.denominator == 0 and result.weights == ()


@pytest.mark.parametrize("mode", MODES)
def test_the_sum_of_the_weights_is_the_denominator_where_every_mean_is_full(mode: str) -> None:
    result = aggregate(mode, ones([[MAX_TOKENS] * 2] * 3), MAX_TOKENS)
    total = sum(w_T.sum() for group in result.weights for w_T in group)
    assert total == pytest.approx(result.denominator, rel=1e-12)


@pytest.mark.parametrize("rollouts", [[[2.0**24, 1.0, 1.0]], [[2.0**24], [1.0], [1.0]]], ids=["in one", "over three"])
def test_float32_masks_are_counted_exactly(rollouts: list[list[float]]) -> None:
    """A sum in float32 stays at 2^24, however often 1 is added."""
    masks = [[np.array(rollout, dtype=np.float32) for rollout in rollouts]]
    assert aggregate("token-mean", masks, MAX_TOKENS).denominator == 2**24 + 2


def test_an_unknown_mode_is_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="'median'"):
        aggregate("median", [], 1)
