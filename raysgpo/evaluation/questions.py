"""The rows of a set, read as its description says."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

from raysgpo.config import TaskConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.data.report import leave_out, reading
from raysgpo.data.rows import read_rows
from raysgpo.records import Problem
from raysgpo.sandbox import check_sandbox
from raysgpo.seeds import derive_seed
from raysgpo.tasks.code import read_programs
from raysgpo.tasks.fields import text_of
from raysgpo.tasks.gold_answer import unreadable
from raysgpo.tasks.math import INSTRUCTION, NO_SINGLE_VALUE, math_problem
from raysgpo.tasks.question_set import QuestionSet
from raysgpo.tasks.turns import behind

LETTER = "\nPut the letter of the right option in \\boxed{}."
"""What is said behind the options of a multiple choice."""


def load_set(settings: QuestionSetConfig) -> QuestionSet:
    """Read its rows.

    Raises:
        ConfigError: they cannot be read, or programs cannot be run here; the message names the set.
    """
    try:
        with reading() as report:
            problems = _programs(settings) if settings.runs_programs else tuple(_problems(settings))
        if not problems:
            raise ValueError(f"{settings.path}: no row can be asked")
        _check_labels(settings, problems)
    except ValueError as error:  # whose settings are called as a task's
        raise ConfigError(f"{settings.name}: {str(error).replace('task.', '')}") from None
    [source] = report.sources
    left_out = tuple(str(row.id) for row in report.left_out if row.why == NO_SINGLE_VALUE)
    return QuestionSet(settings, problems[: settings.limit], source.digest.hexdigest(), left_out)


def _check_labels(settings: QuestionSetConfig, problems: tuple[Problem, ...]) -> None:
    for name in settings.labels:
        if not any(name in problem.metadata for problem in problems):
            raise ValueError(f"labels={list(settings.labels)}: no row of {settings.path} has a column {name}")


def _task(settings: QuestionSetConfig) -> TaskConfig:
    """The settings of a task that reads such rows."""
    return TaskConfig(
        kind="code" if settings.runs_programs else "math",
        path=settings.path,
        columns=settings.columns,
        where=settings.where,
        instruction=settings.instruction,
        check_solutions=0,
    )


def _programs(settings: QuestionSetConfig) -> tuple[Problem, ...]:
    check_sandbox()
    return read_programs(_task(settings))


def _problems(settings: QuestionSetConfig) -> Iterator[Problem]:
    own = LETTER if settings.options else INSTRUCTION
    instruction = own if settings.instruction is None else behind(settings.instruction)
    for _, where, row in read_rows(_task(settings)):
        problem = math_problem(_with_options(row, settings, where), where, instruction)
        if settings.grader == "rules" and unreadable(problem.answer):
            leave_out(where, problem.id, NO_SINGLE_VALUE, f"{problem.answer[:80]!r}")
        else:
            yield problem


def _with_options(row: dict[str, Any], settings: QuestionSetConfig, where: str) -> dict[str, Any]:
    """The row with its options behind the question and the letter of the right one as its answer. Their order follows
    from a hash of the row's id and each option, so that the right one, first in the file, is any of them here."""
    if not settings.options:
        return row
    texts = [text_of(row, name, where).strip() for name in settings.options]
    places = sorted(range(len(texts)), key=lambda place: derive_seed("option", row["id"], texts[place], place))
    shown = [f"{letter}. {texts[place]}" for letter, place in zip(ascii_uppercase, places, strict=False)]
    question = f"{text_of(row, 'question', where).strip()}\n\n" + "\n".join(shown)
    return {**row, "question": question, "answer": ascii_uppercase[places.index(0)]}
