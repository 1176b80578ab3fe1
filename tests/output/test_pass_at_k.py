"""pass@k: its values by hand, its bounds, and that it is what drawing k of the n answers gives."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.output.pass_at_k import mean_pass_at_k, pass_at_k, reported_k

COUNTS = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


def test_values_worked_by_hand() -> None:
    assert pass_at_k(4, 1, 2) == 0.5  # of 6 pairs 3 hold the right answer
    assert pass_at_k(5, 2, 3) == pytest.approx(0.9)  # of 10 triples one holds neither
    assert (pass_at_k(3, 0, 3), pass_at_k(3, 1, 3)) == (0.0, 1.0)


@given(COUNTS)
def test_it_is_the_share_of_all_subsets_that_hold_a_right_answer(counts: tuple[int, int, int]) -> None:
    answers, right, k = counts
    subsets = list(combinations(range(answers), k))
    expected = sum(min(subset) < right for subset in subsets) / len(subsets)
    assert pass_at_k(answers, right, k) == pytest.approx(expected)


@given(COUNTS)
def test_it_rises_with_k_and_pass_at_1_is_the_share_of_right_answers(counts: tuple[int, int, int]) -> None:
    answers, right, _ = counts
    curve = [pass_at_k(answers, right, k) for k in range(1, answers + 1)]
    assert curve == sorted(curve) and curve[0] == pytest.approx(right / answers)


def test_the_mean_is_over_prompts() -> None:
    assert mean_pass_at_k([0, 1, 4], answers=4, k=2) == pytest.approx((0 + 0.5 + 1) / 3)
    assert mean_pass_at_k([], answers=4, k=2) is None


def test_powers_of_two_and_the_whole_number_are_reported() -> None:
    assert [reported_k(answers) for answers in (1, 2, 6, 16)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8, 16]]


def test_more_than_was_drawn_is_refused() -> None:
    with pytest.raises(AssertionError, match="pass@3"):
        pass_at_k(2, 1, 3)
