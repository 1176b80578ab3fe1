"""The generated twin of the verifier task: its truths, its split, its reference."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import TaskConfig
from raysgpo.tasks.arithmetic import Chain
from raysgpo.tasks.arithmetic_verifier import ArithmeticVerifierTask, arithmetic_case, judgement, stated, wrong_solution
from raysgpo.tasks.rating_grading import BOTH, FIRST, NEITHER, RIGHT, SECOND, WRONG

CHAIN = Chain((3, 4, 2), "+-")


def task(held_out: int = 64, **more: object) -> ArithmeticVerifierTask:
    settings = {"kind": "arithmetic_verifier", "prompts": 200, "terms": (3,), **more}
    return ArithmeticVerifierTask(TaskConfig.model_validate(settings), held_out)


def test_a_case_by_hand() -> None:
    problem = arithmetic_case(CHAIN, (True, False), random.Random(0))
    first, second = problem.prompt.removeprefix("3+4-2=?\nA:\n").split("\nB:\n")
    assert first == "3+4=7\n7-2=5\n#### 5"
    assert stated(second) != "5"
    assert problem.answer == FIRST
    assert problem.reference == (f"3+4=7\n7-2=5\nA: 5, right\nB: {stated(second)}, not 5\nRating A: 10\nRating B: 0")


def test_what_a_slip_in_the_working_makes_of_a_judgement() -> None:
    text = judgement(CHAIN, ("3+4=7\n7-2=5\n#### 5",), [2], "3+4=8\n8-2=6\n#### 6")
    assert text == "3+4=8\n8-2=6\nA: 5, not 6\nRating A: 2"


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=6), st.text("+-*", min_size=5, max_size=5), st.integers(0, 10**6)
)
def test_a_wrong_solution_has_a_wrong_answer_and_one_wrong_step(terms: list[int], operators: str, seed: int) -> None:
    chain = Chain(tuple(terms), operators[: len(terms) - 1])
    wrong = wrong_solution(chain, random.Random(seed))
    assert stated(wrong) != stated(chain.solution())
    slips = 0
    for line in wrong.split("\n")[:-1]:
        working, value = line.rsplit("=", 1)
        slips += eval(working) != int(value)
    assert slips == 1


def test_references_are_graded_as_right_and_other_answers_are_not() -> None:
    found = task()
    for problem in [*found.train, *found.held_out]:
        reference = problem.reference or ""
        assert found.grade(problem, reference).correct
        flipped = reference.replace(": 10", ": x").replace(": 0", ": 10").replace(": x", ": 0")
        assert not found.grade(problem, flipped).correct


def test_training_shows_one_right_solution_of_two_or_one_alone() -> None:
    truths = Counter(problem.answer for problem in task(singles=0.3, prompts=400).train)
    assert set(truths) == {FIRST, SECOND, RIGHT, WRONG}
    assert truths[RIGHT] + truths[WRONG] == pytest.approx(120, abs=30)
    assert truths[FIRST] == pytest.approx(140, abs=40)
    assert not {RIGHT, WRONG} & {problem.answer for problem in task(singles=0).train}


def test_held_out_pairs_are_of_all_four_kinds_and_share_no_chain_with_training() -> None:
    found = task()
    assert Counter(problem.answer for problem in found.held_out) == {FIRST: 24, SECOND: 24, BOTH: 8, NEITHER: 8}
    assert Counter(problem.metadata["category"] for problem in found.held_out)["both_incorrect"] == 8
    chains = {problem.prompt.partition("=?")[0] for problem in found.train}
    assert not chains & {problem.prompt.partition("=?")[0] for problem in found.held_out}


def test_the_seed_of_the_task_decides_the_cases() -> None:
    assert task().train == task().train
    assert task(seed=1).train != task().train
    assert task(seed=1).held_out != task().held_out
