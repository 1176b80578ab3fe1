"""What the user wrote is tried on one row, as the run will call it, before anything starts."""

from __future__ import annotations

import asyncio

from raysgpo.config import Config
from raysgpo.records import Problem
from raysgpo.tasks.grader import Grader, make_grader
from raysgpo.tasks.task import Grade, Task


def check_on_one_row(task: Task, config: Config) -> None:
    """A task or a reward of the user's grades an answer to the first training problem: its reference, or its answer.

    Raises:
        ValueError: it raised, hung, or gave something else than it should; one line.
    """
    if config.task.code is None and config.reward.code is None:
        return
    problem = task.train[0]
    text = problem.reference or problem.answer
    _check_steps(task, config, text)
    grader = make_grader(task, config)
    try:
        grades = asyncio.run(_graded(grader, problem, text))
    except RuntimeError as error:
        raise ValueError(f"{_named(config)}: {error}") from error
    finally:
        grader.close()
    failed = next((grade for grade in grades if grade.failure is not None), None)
    if failed is not None:
        raise ValueError(f"{_named(config)}: tried on the problem {problem.id!r}: {failed.why}")


async def _graded(grader: Grader, problem: Problem, text: str) -> list[Grade]:
    """Of two answers, as a group has: a list of one result would pass for one."""
    return await grader.grades(problem, [text, text])


def _check_steps(task: Task, config: Config, text: str) -> None:
    if config.task.code is None:
        return
    try:
        steps = task.split(text)
        whole = "".join(steps)
    except Exception as error:
        raise ValueError(f"task={config.task.kind}: split raised {type(error).__name__}: {error}") from error
    if whole != text:
        raise ValueError(f"task={config.task.kind}: the steps of split joined are not the text: {whole!r} for {text!r}")


def _named(config: Config) -> str:
    both = [("task", config.task.code), ("reward", config.reward.code)]
    return ", ".join(f"{setting}={code.given}" for setting, code in both if code is not None)
