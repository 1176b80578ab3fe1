"""Real input: problems from JSONL rows of question, answer and solution, graded by math-verify.

A row is ``{"question": ..., "answer": ..., "solution": ..., "id": ...}``. Question and answer must be
there (an answer may be a number); the solution becomes the reference; a row without an id is called
after its line, ``row-12``; all other fields are kept as metadata.
"""

from __future__ import annotations

from typing import Any

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.gold_answer import tell, unreadable
from raysgpo.tasks.held_out import distinct, divided
from raysgpo.tasks.input_rows import input_rows
from raysgpo.tasks.math_grading import MathGrading
from raysgpo.tasks.reasoning import split_steps
from raysgpo.tasks.turns import behind

INSTRUCTION = "\nPut the final answer in \\boxed{}."
"""What is said after each question; the format reward asks for nothing more."""
_NAMED = ("id", "question", "answer", "solution")


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
        rows = read_problems(config.path, "task.path", instruction)
        source = rows if config.eval_path is None else read_problems(config.eval_path, "task.eval_path", instruction)
        questions = distinct(source, _question)
        self.held_out, self.train = divided(rows, questions, held_out, _question, config.path)
        self.grade = MathGrading(config.format_reward)
        """Called as ``grade(problem, text)``; it may hang, so a DeadlineGrader calls it."""

    def split(self, text: str) -> list[str]:
        return split_steps(text, self._max_steps)


def read_problems(path: str, key: str, instruction: str = INSTRUCTION) -> tuple[Problem, ...]:
    """The rows of a JSONL file; ``key`` is the setting that named it. Blank lines are skipped, and so, with a word, are
    rows whose answer no response could be compared with.

    Raises ValueError, with file and row, for a row that cannot be used.
    """
    problems: dict[str, Problem] = {}
    unread: list[tuple[int, str]] = []
    for number, where, row in input_rows(path, f"{key}={path}"):
        problem = _problem(row, number, where, instruction)
        if problem.id in problems:
            raise ValueError(
                f"{where}: the id {problem.id!r} was used by an earlier row: make the ids distinct, or leave them out"
            )
        if unreadable(problem.answer):
            unread.append((number, problem.answer))
        else:
            problems[problem.id] = problem
    tell(f"{key}={path}", tuple(unread))
    return tuple(problems.values())


def _problem(row: dict[str, Any], number: int, where: str, instruction: str) -> Problem:
    question = _text(row, "question", where)
    answer = _text(row, "answer", where)
    identity = f"row-{number}" if row.get("id") is None else str(row["id"])
    reference = None if row.get("solution") is None else _text(row, "solution", where)
    metadata = {name: value for name, value in row.items() if name not in _NAMED}
    return Problem(identity, question.strip() + instruction, answer.strip(), reference, metadata)


def _text(row: dict[str, Any], name: str, where: str) -> str:
    """A field that must say something; numbers are taken as they are written."""
    value = row.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.strip():
        return value
    if value is None:
        raise ValueError(f"{where}: no {name}: add the field {name!r} or remove the row")
    what = "empty" if value == "" or isinstance(value, str) else type(value).__name__
    raise ValueError(f"{where}: {name} is {what} where text was expected: fill it in or remove the row")


def _question(problem: Problem) -> str:
    return problem.prompt
