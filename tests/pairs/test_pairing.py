"""Pairs of solutions: counts, balance, and what is left out, worked by hand and as invariances."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.pairs.graded_solutions import Fate, Solved, without_thinking
from raysgpo.pairs.pairing import PairsConfig, apart, mixed, pairs_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "plain"),
        ("<think>a\nb</think>\n\n  def f():\n    pass\n\n", "  def f():\n    pass"),
        ("thought, opened by the template</think>42", "42"),
        ("<think>one</think>no<think>two</think>yes", "yes"),
        ("<think>never ends", None),
        ("<think>only this</think>\n", ""),
    ],
)
def test_thinking_is_removed(text: str, said: str | None) -> None:
    assert without_thinking(text) == said


def test_a_solution_is_taken_in_once_and_without_its_thinking() -> None:
    solved = Solved("q", "?")
    given = [("<think>x</think>a", True), ("a", True), ("a", False), ("<think>", True), ("<think></think>", False)]
    fates = [solved.add(*one) for one in given] + [solved.add("b", False, True), solved.add("b", False)]
    assert fates == [Fate.KEPT, Fate.REPEATED, Fate.REPEATED, Fate.CUT_OFF, Fate.EMPTY, Fate.CUT_OFF, Fate.KEPT]
    assert (solved.right, solved.wrong) == (["a"], ["b"])


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 40))
def test_pairs_are_different_and_use_each_solution_about_as_often(right: int, wrong: int, most: int) -> None:
    rights, wrongs = [f"r{i}" for i in range(right)], [f"w{i}" for i in range(wrong)]
    pairs = mixed(rights, wrongs, most)
    assert len(set(pairs)) == len(pairs) == min(most, right * wrong)
    for side, some in ((0, rights), (1, wrongs)):
        used = Counter(pair[side] for pair in pairs)
        counts = [used[one] for one in some]
        assert not pairs or max(counts) - min(counts) <= 1


def test_pairs_of_a_kind_share_nothing() -> None:
    assert apart(["a", "b", "c", "d", "e"], 9) == [("a", "b"), ("c", "d")]
    assert apart(["a", "b", "c", "d"], 1) == [("a", "b")] and apart(["a"], 3) == []


def questions(count: int, right: int = 2, wrong: int = 2) -> list[Solved]:
    def one(n: int) -> Solved:
        texts = [f"r{n}.{i}" for i in range(right)], [f"w{n}.{i}" for i in range(wrong)]
        return Solved(f"q{n}", f"question {n}", *texts, {"year": n})

    return [one(n) for n in range(count)]


def test_a_row_is_one_of_the_task_and_says_the_truth() -> None:
    rows = pairs_of(questions(400), PairsConfig(pairs=2, both_right=1, both_wrong=1, domain="code"))
    assert len(rows) == 1600 and len({row["id"] for row in rows}) == 1600
    for row in rows:
        assert row["domain"] == "code" and row["question"] == f"question {row['year']}"
        for side in "ab":
            assert row[f"correct_{side}"] == row[f"solution_{side}"].startswith("r")
        assert row["solution_a"] != row["solution_b"]
    assert Counter(row["correct_a"] + row["correct_b"] for row in rows) == {1: 800, 2: 400, 0: 400}
    first = sum(row["correct_a"] for row in rows if row["correct_a"] != row["correct_b"])
    assert 340 < first < 460, "either place is as likely"


def test_what_is_drawn_follows_from_the_seed() -> None:
    made = [pairs_of(questions(20), PairsConfig(seed=seed)) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]


def test_a_question_without_both_gives_none_and_most_bounds_them_all() -> None:
    assert pairs_of(questions(3, wrong=0), PairsConfig()) == []
    rows = pairs_of(questions(50), PairsConfig(pairs=4, most=30))
    assert len(rows) == 30 and rows == sorted(rows, key=lambda row: row["year"])
    assert {row["year"] for row in rows} != set(range(8)), "they are drawn"
