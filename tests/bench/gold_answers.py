"""The answers of data sets fed back as answers: ``python -m tests.bench.gold_answers FILE ...``.

Of each file of questions and answers: the share of rows whose own answer, in a box, is right; and the share to which
the answer of the next row is right whose answer is written otherwise. Rows that a run leaves out, and those whose own
answer is not right, are named.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from raysgpo.config import TaskConfig
from raysgpo.data.report import reading
from raysgpo.records import Problem
from raysgpo.tasks.grader import DeadlineGrader
from raysgpo.tasks.math import read_problems
from raysgpo.tasks.math_grading import MathGrading

AT_ONCE = 2


async def measured(path: str, grader: DeadlineGrader) -> str:
    """A row of the table: file, rows, left out, right, another's right, and which are wrong."""
    with reading() as report:
        problems = read_problems(TaskConfig(kind="math", path=path))
    places = asyncio.Semaphore(AT_ONCE)

    async def right(problem: Problem, answer: str) -> bool:
        async with places:
            return (await grader.grade(problem, f"So the answer is \\boxed{{{answer}}}.")).correct

    own = await asyncio.gather(*(right(problem, problem.answer) for problem in problems))
    others = await asyncio.gather(*(right(problem, other(problems, at)) for at, problem in enumerate(problems)))
    wrong = [problem.id for problem, correct in zip(problems, own, strict=True) if not correct]
    left = [str(row.id) for row in report.left_out]
    name, count = Path(path).name, len(problems)
    named = "; ".join(f"{what} {', '.join(ids)}" for what, ids in (("left out", left), ("wrong", wrong)) if ids)
    shares = f"{sum(own) / count:.2%} | {sum(others) / count:.2%}"
    return f"| {name} | {count + len(left)} | {len(left)} | {shares} | {named or '-'} |"


def other(problems: Sequence[Problem], at: int) -> str:
    """The answer of the next row whose answer is written otherwise."""
    turned = (*problems[at + 1 :], *problems[:at])
    return next(one.answer for one in turned if one.answer != problems[at].answer)


async def main(paths: Sequence[str]) -> None:
    grader = DeadlineGrader(MathGrading(0.0), TaskConfig().grade_deadline)
    print("| file | rows | left out | own answer | another's | rows |\n|---|---|---|---|---|---|")
    try:
        for path in paths:
            print(await measured(path, grader), flush=True)
    finally:
        grader.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
