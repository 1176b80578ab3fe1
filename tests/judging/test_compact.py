from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.judging.compact import compact_table, letter_of, read_letter
from raysgpo.judging.rule import first_wrong
from raysgpo.records import Problem
from raysgpo.tasks.arithmetic import Chain, split_lines
from raysgpo.tiny.tokenizer import SPECIAL_TOKENS

PROBLEM = Chain((3, 4, 2), "+-").problem()
TRICKY = st.text(alphabet="3=# \t\n\\;_!-ab[]|A/")
STEPS = st.lists(TRICKY, max_size=6)


def test_a_wrong_response_beside_its_reference() -> None:
    assert compact_table(PROBLEM, split_lines("3+4=7\n7-2=6\n#### 6")) == (
        "a33a++a44a==a77a;;\nb77b--b22b==b56b;;\nc##c##c##c##c  c56c;_"
    )


def test_a_response_cut_off_leaves_the_rest_of_the_reference_without_letters() -> None:
    assert compact_table(PROBLEM, ["3+4=7\n", "7-"]) == (
        "a33a++a44a==a77a;;\nb77b--b2_b=_b5_b;_\n-#_-#_-#_-#_- _-5_-;_"
    )


def test_what_goes_past_the_reference_stands_beside_its_mark() -> None:
    steps = ["3+4=71\n", "7-2=5\n", "#### 5\n", "ok\n"]
    assert compact_table(PROBLEM, steps) == (
        "a33a++a44a==a77a;1a!;\nb77b--b22b==b55b;;\nc##c##c##c##c  c55c;;\nd!\\d!Od!\\d!Kd!;"
    )


def test_blanks_at_the_ends_of_a_step_move_no_pair() -> None:
    plain = compact_table(PROBLEM, ["3+4=7\n"]).split("\n")
    blank = compact_table(PROBLEM, [" 3+4=7\t\n"]).split("\n")
    assert blank == [plain[0] + "[ |\t]", *plain[1:]]


def test_without_a_reference_the_answer_stands_in_its_place() -> None:
    assert compact_table(Problem("p", "?", answer="12"), ["13"]) == "a11a23a;_"


@given(STEPS, STEPS)
def test_different_steps_give_different_tables(one: list[str], other: list[str]) -> None:
    assert (compact_table(PROBLEM, one) == compact_table(PROBLEM, other)) == (one == other)


@given(st.lists(st.text(), max_size=40))
def test_any_steps_have_a_row_each(steps: list[str]) -> None:
    assert compact_table(PROBLEM, steps).count("\n") == max(len(steps), 3) - 1


@given(
    st.lists(st.sampled_from([*SPECIAL_TOKENS, "the first error", "none", "\n"]).map(lambda text: text * 2), max_size=5)
)
def test_no_text_of_a_response_stands_in_one_piece(steps: list[str]) -> None:
    table = compact_table(PROBLEM, steps)
    assert not any(token in table for token in (*SPECIAL_TOKENS, "first", "no"))


@given(st.text(alphabet="3+4=7-25#\n ", max_size=30), st.integers(0, 18))
def test_the_first_unequal_pair_is_the_first_wrong_step(text: str, kept: int) -> None:
    """The table holds what the verdict needs; reading it pair by pair gives the rule judge's verdict."""
    steps = split_lines("3+4=7\n7-2=5\n#### 5"[:kept] + text)
    for number, row in enumerate(compact_table(PROBLEM, steps).split("\n")):
        pairs = row.partition("[")[0]
        if any(written not in (right, "_") for right, written in zip(pairs[1::3], pairs[2::3], strict=True)):
            assert first_wrong(PROBLEM, steps) == number
            return
    assert first_wrong(PROBLEM, steps) == len(steps)


@pytest.mark.parametrize("terms", [2, 3, 4, 5])
def test_a_table_is_short(terms: int) -> None:
    """Three bytes a character: it is the prompt of every judgement."""
    problem = Chain((9,) * terms, "+" * (terms - 1)).problem()
    assert problem.reference is not None
    written = len(problem.reference) + 1
    assert len(compact_table(problem, split_lines(problem.reference))) == 3 * written + terms - 1


@pytest.mark.parametrize("steps", [1, 3, 26])
def test_a_verdict_is_the_letter_of_a_step_or_a_dash(steps: int) -> None:
    assert [read_letter(letter_of(position, steps), steps) for position in range(steps + 1)] == [*range(steps + 1)]
    assert letter_of(steps, steps) == "-"
    for nothing in ("", " ", "A", "1", "aa", "-1", "ä", "z" if steps < 26 else "{"):
        assert read_letter(nothing, steps) is None
