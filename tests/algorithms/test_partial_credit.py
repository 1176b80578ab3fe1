"""RTS and eq. 2: the paper's example, the order of rewards, and how they stay below a right answer's."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.algorithms.partial_credit import partial_credit, trajectory_score

UNIT = st.floats(0, 1, allow_nan=False)


def test_five_steps_with_the_first_error_at_the_fourth_give_three_fifths() -> None:
    assert trajectory_score(3, [1] * 5, truncated=False) == 3 / 5


def test_by_tokens_each_step_counts_as_much_as_it_is_long() -> None:
    assert trajectory_score(3, [10, 2, 8, 20, 40], truncated=False) == 20 / 80
    assert trajectory_score(0, [10, 2], truncated=False) == 0.0
    assert trajectory_score(None, [10, 2, 8], truncated=False) == 12 / 20
    assert trajectory_score(None, [10, 2, 8], truncated=True) == 1.0


def test_what_was_given_has_no_length_and_earns_nothing() -> None:
    """(first_error - g) / (n - g), at least 0."""
    assert trajectory_score(3, [0, 0, 1, 1, 1], truncated=False) == 1 / 3
    assert trajectory_score(1, [0, 0, 1, 1, 1], truncated=False) == 0.0
    assert trajectory_score(None, [0, 0], truncated=True) == 0.0, "it did nothing of its own"


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=64), st.booleans())
def test_a_score_lies_between_0_and_1_and_rises_with_the_first_error(lengths: list[int], truncated: bool) -> None:
    scores = [trajectory_score(k, lengths, truncated=truncated) for k in range(len(lengths))]
    scores.append(trajectory_score(None, lengths, truncated=True))
    assert scores == sorted(scores) and scores[0] == 0 and scores[-1] <= 1
    assert trajectory_score(None, lengths, truncated=False) == scores[-2]


@given(st.integers(1, 64), st.integers(1, 1000), st.data())
def test_steps_of_one_length_score_alike_under_both(steps: int, length: int, data: st.DataObject) -> None:
    first_error = data.draw(st.none() | st.integers(0, steps - 1))
    by_steps, by_tokens = (trajectory_score(first_error, [n] * steps, truncated=False) for n in (1, length))
    assert by_steps == pytest.approx(by_tokens, rel=1e-12)


def test_no_error_found_depends_on_whether_the_response_was_cut_off() -> None:
    assert trajectory_score(None, [1] * 4, truncated=True) == 1.0
    assert trajectory_score(None, [1] * 4, truncated=False) == 3 / 4
    assert trajectory_score(None, [1], truncated=False) == 0.0


def test_a_named_error_counts_the_same_in_a_truncated_response() -> None:
    assert trajectory_score(2, [1] * 4, truncated=True) == trajectory_score(2, [1] * 4, truncated=False) == 0.5


@pytest.mark.parametrize("truncated", [True, False])
def test_a_response_without_steps_scores_0(truncated: bool) -> None:
    assert trajectory_score(None, [], truncated=truncated) == 0.0


def test_an_error_past_the_last_step_is_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="outside"):
        trajectory_score(5, [1] * 5, truncated=False)


def test_equation_2_by_hand() -> None:
    assert partial_credit(0.5) == 0.5
    assert partial_credit(0.0) == pytest.approx(1 / (1 + math.exp(5)), rel=1e-15)
    assert partial_credit(0.6) == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-14)
    # Not the paper's print, in which every wrong answer lies in [0.0067, 0.0110], nor an inverted sign.
    assert partial_credit(0.0) < 0.01 and partial_credit(1.0) > 0.99


@given(UNIT, st.floats(0.1, 20), UNIT)
def test_equation_2_recomputed(rts: float, beta: float, gamma: float) -> None:
    expected = 1 / (1 + math.exp(-beta * (rts - gamma)))
    assert partial_credit(rts, beta=beta, gamma=gamma) == pytest.approx(expected, rel=1e-12)


@given(UNIT, UNIT, st.floats(1e-3, 1e9), UNIT, st.floats(0.01, 1), st.sampled_from(["sgpo", "raw", "none"]))
def test_rising_in_rts_and_always_below_a_right_answer(
    a: float, b: float, beta: float, gamma: float, scale: float, kind: str
) -> None:
    low, high = sorted((a, b))
    worth_low = partial_credit(low, kind=kind, beta=beta, gamma=gamma, scale=scale)
    worth_high = partial_credit(high, kind=kind, beta=beta, gamma=gamma, scale=scale)
    assert 0 <= worth_low <= worth_high < 1
    assert worth_high <= scale


@pytest.mark.parametrize("beta", [10, 34, 40, 100, 1e6, 1e300])
def test_a_wrong_answer_stays_below_1_for_extreme_beta(beta: float) -> None:
    assert partial_credit(1.0, beta=beta, gamma=0.0) < 1.0
    assert partial_credit(0.0, beta=beta, gamma=1.0) >= 0.0


def test_strictly_rising_over_the_scores_of_a_response_of_a_hundred_steps() -> None:
    worths = [partial_credit(k / 100) for k in range(101)]
    assert all(a < b for a, b in pairwise(worths))


def test_the_other_kinds() -> None:
    assert partial_credit(0.3, kind="raw") == 0.3
    assert 0.999 < partial_credit(1.0, kind="raw") < 1.0
    assert partial_credit(0.3, kind="none") == 0.0
    assert partial_credit(0.5, scale=0.5) == 0.25
    with pytest.raises(AssertionError, match="'linear'"):
        partial_credit(0.3, kind="linear")
