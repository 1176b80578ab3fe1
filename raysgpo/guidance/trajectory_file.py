"""A file of questions with true reasoning: solutions are graded, and only what is fit to guide is written."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysgpo.guidance.selection import Fate, fate
from raysgpo.guidance.solver import Solver, SolverConfig
from raysgpo.output.json_lines import JsonLines, read_rows
from raysgpo.records import Problem
from raysgpo.tasks.grader import DeadlineGrader, Grader
from raysgpo.tasks.math import INSTRUCTION
from raysgpo.tasks.math_grading import MathGrading
from raysgpo.tasks.reasoning import split_steps


async def write_trajectories(problems: Sequence[Problem], out: Path, config: SolverConfig) -> Counter[Fate]:
    """Writes the rows that have a fit solution, each when it is there; the fates of all solutions.

    Problems whose rows stand in ``out`` already are not solved again.

    Raises:
        ConfigError: the server's key is not there.
        NoAnswer: there is no server, or it refuses the question, after all retries.
    """
    done = {str(row["id"]) for row in read_rows(out)}
    solver, grader = Solver(config), DeadlineGrader(MathGrading(0.0), config.grade_deadline)
    lines, fates, places = JsonLines(out), Counter[Fate](), asyncio.Semaphore(config.concurrency)

    async def one(problem: Problem) -> None:
        async with places:
            async for text in solver.solutions(problem):
                found = await _fate(text, problem, grader, config)
                fates[found] += 1
                if found is Fate.KEPT:
                    lines.write(_row(problem, text, config.model))
                    return

    try:
        await asyncio.gather(*(one(problem) for problem in problems if problem.id not in done))
    finally:
        lines.close()
        grader.close()
        await solver.close()
    return fates


async def _fate(text: str, problem: Problem, grader: Grader, config: SolverConfig) -> Fate:
    grade = await grader.grade(problem, text)
    return fate(text, problem, grade, lambda whole: split_steps(whole, config.max_reasoning_steps))


def _row(problem: Problem, solution: str, model: str | None) -> dict[str, Any]:
    source = {} if model is None else {"solution_by": model}
    last = problem.prompt.removesuffix(INSTRUCTION)
    turns = [*problem.turns, ("user", last)]
    question = [{"role": role, "content": said} for role, said in turns] if problem.turns else last
    named = {"id": problem.id, "question": question, "answer": problem.answer, "solution": solution}
    return {**problem.metadata, **named, **source}
