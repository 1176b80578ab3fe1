"""A file of questions with true reasoning: solutions are graded, and only what is fit to guide is written."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from raysgpo.guidance.selection import Fate, fate
from raysgpo.guidance.solver import Solver, SolverConfig
from raysgpo.output.json_lines import JsonLines, read_rows
from raysgpo.records import Problem
from raysgpo.tasks.grader import make_grader
from raysgpo.tasks.input_rows import input_rows
from raysgpo.tasks.task import Task

IDS = ("id", "task_id", "question_id")
"""What rows of data sets call their ids."""


async def write_trajectories(task: Task, out: Path, config: SolverConfig) -> Counter[Fate]:
    """Writes the rows of ``config.task.path`` that have a fit solution, each when it is there; the fates of all.

    Problems whose rows stand in ``out`` already are not solved again.

    Raises:
        ConfigError: the server's key is not there.
        NoAnswer: there is no server, or it refuses the question, after all retries.
    """
    assert config.task.path is not None, "trajectories are made of the rows of a file"
    done, given = {str(row["id"]) for row in read_rows(out)}, _rows(config.task.path)
    solver, grader = Solver(config), make_grader(task, config.task, config.task.graders)
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


def _rows(path: str) -> dict[str, dict[str, Any]]:
    """The rows as they stand in the file, by the id that their problem has."""
    found = {}
    for number, _, row in input_rows(path, f"task.path={path}"):
        name = next((row[name] for name in IDS if row.get(name) is not None), f"row-{number}")
        found[str(name)] = row
    return found


def _row(given: dict[str, Any], problem: Problem, solution: str, model: str | None) -> dict[str, Any]:
    source = {} if model is None else {"solution_by": model}
    return {**given, "id": problem.id, "solution": solution, **source}
