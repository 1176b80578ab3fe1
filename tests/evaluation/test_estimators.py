"""avg@k, pass@k and maj@k against brute force and the values of others; intervals as the theory has them."""

from __future__ import annotations

import json
import math
from collections import Counter
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.evaluation.estimators import Voted, candidate, interval, majority_at_k
from raysgpo.output.pass_at_k import pass_at_k

CASES = Path(__file__).parent / "cases" / "metric_cases.jsonl"
ANSWERS = st.sampled_from(["1", "2", "3", None])
VOTES = st.lists(ANSWERS, min_size=1, max_size=9)


def votes(answers: list[str | None], right: str = "1") -> list[Voted]:
    return [Voted(answer, answer == right) for answer in answers]


@pytest.mark.parametrize("case", [json.loads(line) for line in CASES.read_text().splitlines()], ids=lambda c: c["id"])
def test_the_values_of_others(case: dict[str, Any]) -> None:
    right, n = sum(case["correct"]), len(case["correct"])
    found = pass_at_k(n, right, case["k"]) if case["metric"].startswith("pass") else right / n
    assert found == pytest.approx(case["expected"], abs=case["tolerance"])


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(right_N: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(right_N)))
    subsets = list(combinations(right_N, k))
    assert pass_at_k(len(right_N), sum(right_N), k) == pytest.approx(np.mean([any(one) for one in subsets]))


def test_majorities_worked_by_hand() -> None:
    assert majority_at_k(votes(["1", "2", "1"]), 3) == 1.0
    assert majority_at_k(votes(["2", "2", "1"]), 3) == 0.0
    assert majority_at_k(votes(["1", "2"]), 2) == 0.5, "one of the two is drawn"
    assert majority_at_k(votes(["1", "2", "3", None]), 4) == pytest.approx(1 / 3)
    assert majority_at_k(votes([None, None, "1"]), 3) == 1.0, "who states nothing has no vote"
    assert majority_at_k(votes([None, None]), 2) == 0.0
    # Two blocks of two, 0.5 and 1; the fifth answer is in none.
    assert majority_at_k(votes(["1", "2", "1", "1", "2"]), 2) == 0.75


@given(VOTES)
def test_the_majority_of_all_is_that_of_a_count(answers: list[str | None]) -> None:
    counts = Counter(answer for answer in answers if answer is not None)
    best = [answer for answer, count in counts.items() if count == max(counts.values())]
    expected = ("1" in best) / len(best) if best else 0.0
    assert majority_at_k(votes(answers), len(answers)) == pytest.approx(expected)


@given(VOTES.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_no_order_of_the_answers_changes_the_majority_of_all(both: tuple[list[str | None], list[str | None]]) -> None:
    first, second = (majority_at_k(votes(list(one)), len(one)) for one in both)
    assert first == second


@given(VOTES)
def test_the_majority_of_one_is_the_average(answers: list[str | None]) -> None:
    assert majority_at_k(votes(answers), 1) == pytest.approx(np.mean([answer == "1" for answer in answers]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1/2", r"\frac{1}{2}"),
        ("0.5", r"\dfrac{1}{2}"),
        ("1,234", "1234.0"),
        ("$ 7 $", "7."),
        ("(A) ", "(a)"),
        ("x + 1", "x+1"),
    ],
)
def test_equal_answers_are_one_candidate(one: str, other: str) -> None:
    assert candidate(one) == candidate(other)


@pytest.mark.parametrize("text", ["1/0", r"\frac{1}{0}", "9" * 31, "1/00", "", "--1"])
def test_what_is_no_number_is_a_text(text: str) -> None:
    assert candidate(text) == text
    assert candidate("7") == Fraction(7) and candidate("1, 2") != candidate("12")


@given(st.integers(0, 2**31 - 1), st.integers(1, 40))
def test_an_interval_holds_the_mean_and_follows_from_the_seed(seed: int, right: int) -> None:
    values = [1.0] * right + [0.0] * (41 - right)
    low, high = interval(values, seed)
    assert 0 <= low <= right / 41 <= high <= 1 and interval(values, seed) == (low, high)


def test_an_interval_is_as_wide_as_the_normal_one_of_many_questions() -> None:
    values = [1.0, 0.0] * 200
    low, high = interval(values, 0)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 400), rel=0.08)
    assert interval([1.0] * 5, 0) == (1.0, 1.0)
