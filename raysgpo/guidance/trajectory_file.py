"""A file of questions with true reasoning: solutions are graded, and only what is fit to guide is written."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from raysgpo.config import Config
from raysgpo.data.rows import read_rows
from raysgpo.guidance.selection import Fate, fate
from raysgpo.guidance.solver import Solver, SolverConfig
from raysgpo.output.json_lines import JsonLines
from raysgpo.output.json_lines import read_rows as written
from raysgpo.records import Problem
from raysgpo.tasks.grader import make_grader
from raysgpo.tasks.task import Task


async def write_trajectories(task: Task, out: Path, config: SolverConfig) -> Counter[Fate]:
    """Writes the rows of ``config.task.path`` that have a fit solution, each when it is there; the fates of all.

    Problems whose rows stand in ``out`` already are not solved again.

    Raises:
        ConfigError: the server's key is not there.
        NoAnswer: there is no server, or it refuses the question, after all retries.
    """
    assert config.task.path is not None, "trajectories are made of the rows of a file"
    done = {str(row["id"]) for row in written(out)}
    given = {row["id"]: row for _, _, row in read_rows(config.task)}
    solver, grader = Solver(config), make_grader(task, Config(task=config.task))
    lines, fates, places = JsonLines(out), Counter[Fate](), asyncio.Semaphore(config.concurrency)

    async def one(problem: Problem) -> None:
        async with places:
            async for text in solver.solutions(problem):
                found = fate(text, problem, await grader.grade(problem, text), task.split)
                fates[found] += 1
                if found is Fate.KEPT:
                    lines.write(_row(given[problem.id], problem, text, config.model))
                    return

    try:
        await asyncio.gather(*(one(problem) for problem in task.train if problem.id not in done))
    finally:
        lines.close()
        grader.close()
        await solver.close()
    return fates


def _row(given: dict[str, Any], problem: Problem, solution: str, model: str | None) -> dict[str, Any]:
    source = {} if model is None else {"solution_by": model}
    return {**given, "id": problem.id, "solution": solution, **source}
