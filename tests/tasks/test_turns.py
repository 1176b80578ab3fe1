"""What stands before a problem, and behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tasks.turns import behind, turns_before

TRAIN = [Problem("a", "1+1=?", "2", "1+1=2"), Problem("b", "1+2=?", "3"), Problem("c", "1+3=?", "4", "1+3=4")]


def test_examples_are_earlier_turns_and_are_not_trained_on() -> None:
    turns, left = turns_before(TaskConfig(system="Be brief.", examples=2), TRAIN)
    assert turns == (
        ("system", "Be brief."), ("user", "1+1=?"), ("assistant", "1+1=2"), ("user", "1+3=?"), ("assistant", "1+3=4")
    )  # fmt: skip
    assert [problem.id for problem in left] == ["b"]
    assert turns_before(TaskConfig(), TRAIN) == ((), TRAIN)


def test_a_copy_of_an_example_is_not_trained_on_and_an_examples_own_turns_are_shown() -> None:
    own = Problem("d", "And 2?", "2", "2", turns=(("system", "S"), ("user", "1?"), ("assistant", "1")))
    turns, left = turns_before(TaskConfig(examples=1), [own, TRAIN[0], replace(own, id="d*2")])
    assert turns == (("user", "1?"), ("assistant", "1"), ("user", "And 2?"), ("assistant", "2"))
    assert [problem.id for problem in left] == ["a"]


def test_more_examples_than_solutions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.examples=3: only 2 training problems have a solution"):
        turns_before(TaskConfig(examples=3), TRAIN)


def test_an_instruction_stands_on_a_line_of_its_own() -> None:
    assert (behind(""), behind("Go.")) == ("", "\nGo.")
    task = ArithmeticTask(TaskConfig(prompts=2, instruction="One operation a line."), 1)
    assert all(p.prompt.endswith("=?\nOne operation a line.") for p in (*task.train, *task.held_out))
    assert {p.id for p in task.train} == {p.id for p in ArithmeticTask(TaskConfig(prompts=2), 1).train}
