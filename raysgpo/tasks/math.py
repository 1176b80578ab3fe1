"""Real input: problems from rows of question, answer and solution, graded by math-verify.

A row is ``{"question": ..., "answer": ..., "solution": ..., "id": ...}``. Question and answer must be
there (an answer may be a number, a question the messages of a chat); the solution becomes the reference;
a row without an id is called after its line, ``row-12``; all other fields are kept as metadata.
"""

from __future__ import annotations

from typing import Any

from raysgpo.config import TaskConfig
from raysgpo.data.report import leave_out
from raysgpo.data.rows import Which, read_rows
from raysgpo.records import Problem
from raysgpo.tasks.fields import asked, text_of
from raysgpo.tasks.gold_answer import unreadable
from raysgpo.tasks.held_out import distinct, divided
from raysgpo.tasks.math_grading import MathGrading
from raysgpo.tasks.reasoning import split_steps
from raysgpo.tasks.turns import behind

INSTRUCTION = "\nPut the final answer in \\boxed{}."
"""What is said after each question; the format reward asks for nothing more."""
_NAMED = ("id", "question", "answer", "solution")
NO_SINGLE_VALUE = "its answer is no single value: write the final answer alone"


class MathTask:
    """The rows of ``config.path``, less those held out; a :class:`raysgpo.tasks.task.Task`.

    Held out are ``held_out`` rows of ``config.eval_path``, or of ``config.path`` itself where there
    is none (see ``held_out``). No question of them is in ``train``, whatever its case or spacing, and
    none is in there twice.
    """

    reward_range = (0.0, 1.0)

    def __init__(self, config: TaskConfig, held_out: int) -> None:
        assert config.path is not None, "the configuration refuses task.kind=math without task.path"
        self._max_steps = config.max_reasoning_steps
        instruction = INSTRUCTION if config.instruction is None else behind(config.instruction)
        rows = read_problems(config, "path", instruction)
        source = rows if config.eval_path is None else read_problems(config, "eval_path", instruction)
        questions = distinct(source, _question)
        self.held_out, self.train = divided(rows, questions, held_out, _question)
        self.grade = MathGrading(config.format_reward)
        """Called as ``grade(problem, text)``; it may hang, so a DeadlineGrader calls it."""

    def split(self, text: str) -> list[str]:
        return split_steps(text, self._max_steps)


def read_problems(config: TaskConfig, which: Which = "path", instruction: str = INSTRUCTION) -> tuple[Problem, ...]:
    """The rows of ``config``, but for those whose answer no response could be compared with, which are left out.

    Raises ValueError, with file and row, for a row that cannot be used.
    """
    problems = []
    for _, where, row in read_rows(config, which):
        problem = math_problem(row, where, instruction)
        if unreadable(problem.answer):
            leave_out(where, problem.id, NO_SINGLE_VALUE, f"{problem.answer[:80]!r}")
        else:
            problems.append(problem)
    return tuple(problems)


def math_problem(row: dict[str, Any], where: str, instruction: str) -> Problem:
    turns, question = asked(row, "question", where)
    answer = text_of(row, "answer", where)
    reference = None if row.get("solution") is None else text_of(row, "solution", where)
    metadata = {name: value for name, value in row.items() if name not in _NAMED}
    return Problem(row["id"], question.strip() + instruction, answer.strip(), reference, metadata, turns)


def _question(problem: Problem) -> str:
    return "\n".join([*(said for _, said in problem.turns), problem.prompt])
