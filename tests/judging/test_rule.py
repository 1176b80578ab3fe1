from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysgpo.judging.judge import Judge
from raysgpo.judging.rule import RuleJudge, first_wrong
from raysgpo.tasks.arithmetic import Chain, draw_chain, split_lines

CHAIN = Chain((3, 4, 2), "+-")
"""3+4-2: the solution is 3+4=7, 7-2=5, #### 5."""


def verdict(text: str) -> int:
    return first_wrong(CHAIN.problem(), split_lines(text))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("3+4=8\n8-2=6\n#### 6", 0),
        ("3+4=7\n7-2=6\n#### 6", 1),
        ("3+4=7\n7-2=5\n#### 6", 2),
        ("3+4=8\n7-2=5\n#### 5", 0),
        ("3+4=7\n8-2=6\n#### 6", 1),
        ("3+4=7\n#### 5", 1),
        ("7-2=5\n#### 5", 0),
        ("\n3+4=7\n7-2=5\n#### 5", 0),
        ("3+4=7\n7-2=5\n#### 5\n1+1=2", 3),
        ("nonsense", 0),
        ("3+4=7\n7-3", 1),
        ("3+4\n", 0),
    ],
)
def test_the_first_line_that_the_solution_does_not_have_there(text: str, first: int) -> None:
    assert verdict(text) == first


@pytest.mark.parametrize("text", ["", "3+4=7\n7-2=5\n#### 5", "3+4=7\n7-2=5\n#### 5\n", "3+4=7\n", " 3+4=7 \n"])
def test_no_error_is_the_number_of_steps(text: str) -> None:
    assert verdict(text) == len(split_lines(text))


@pytest.mark.parametrize("length", range(len("3+4=7\n7-2=5\n#### 5")))
def test_a_right_solution_cut_off_anywhere_has_no_wrong_step(length: int) -> None:
    text = "3+4=7\n7-2=5\n#### 5"[:length]
    assert verdict(text) == len(split_lines(text))


@settings(deadline=None)
@given(st.integers(2, 6), st.data())
def test_the_first_of_several_mistakes_is_named(terms: int, data: st.DataObject) -> None:
    chain = draw_chain(random.Random(data.draw(st.integers(0, 10**6))), terms, 1, "+-")
    wrong = data.draw(st.sets(st.integers(0, terms - 2), min_size=1))
    calls = iter(range(terms))
    text = chain.solution(lambda value: value + 50 if next(calls) in wrong else value)
    assert first_wrong(chain.problem(), split_lines(text)) == min(wrong)


def test_the_judge_says_what_the_rule_says_for_every_seed() -> None:
    judge: Judge = RuleJudge()
    steps = split_lines("3+4=7\n7-2=6\n#### 6")
    assert {asyncio.run(judge(CHAIN.problem(), steps, seed)).position for seed in range(3)} == {1}
