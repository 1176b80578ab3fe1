"""How answers are graded: ``python -m tests.bench.grading FOLDER``, of the question sets and the graders' cases.

Said are the cases that come out as expected; solutions, cut off anywhere before they state their answer, that are
called right; hostile answers that outlive their deadline; and ordinary answers a second in one process.
"""

from __future__ import annotations

import asyncio
import logging
import random
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from raysgpo.config import TaskConfig
from raysgpo.output.json_lines import read_rows
from raysgpo.records import Problem
from raysgpo.tasks.grader import DeadlineGrader
from raysgpo.tasks.math_grading import MathGrading, is_correct
from tests.tasks.hostile import hostile_answers

HOSTILE, CUTS = 10_000, 2_000
SOLVED = ("train_gsm8k", "train_aime", "math500", "olympiadbench")


def main() -> None:
    folder = Path(sys.argv[1])
    cases(list(read_rows(folder / "grader_cases_dev.jsonl")))
    for name in SOLVED:
        cut_off(name, list(read_rows(folder / f"{name}.jsonl")))
    ordinary(list(read_rows(folder / "math500.jsonl")))
    asyncio.run(hostile())


def problem(answer: str) -> Problem:
    return Problem("p", "?", answer, None, {})


def as_response(case: dict[str, Any]) -> str:
    """A bare answer stands in a box."""
    text = str(case["prediction"])
    return rf"\boxed{{{text}}}" if case["kind"] == "answer" else text


def cases(rows: list[dict[str, Any]]) -> None:
    for tier in ("core", "convention"):
        chosen = [row for row in rows if row["tier"] == tier]
        other = [row["id"] for row in chosen if is_correct(row["gold"], as_response(row)) != row["expected"]]
        print(f"{tier}: {len(chosen) - len(other)} of {len(chosen)} as expected; not {', '.join(other)}")


def cut_off(name: str, rows: list[dict[str, Any]]) -> None:
    rng, right, tried = random.Random(0), 0, 0
    solved = [row for row in rows if row.get("solution")]
    for row in rng.choices(solved, k=CUTS):
        solution = str(row["solution"])
        stated = max(solution.rfind(r"\boxed"), solution.rfind("####"), 1)
        tried += 1
        right += is_correct(str(row["answer"]), solution[: rng.randrange(stated)])
    print(f"{name}: {right / tried:.2%} of {tried} solutions that were cut before their answer are called right")


def ordinary(rows: list[dict[str, Any]]) -> None:
    answers = [(str(row["answer"]), rf"So it is \boxed{{{row['answer']}}}.") for row in rows]
    answers += [(str(row["answer"]), rf"So it is \boxed{{{rows[n - 1]['answer']}}}.") for n, row in enumerate(rows)]
    begun = time.process_time()
    for gold, text in answers:
        is_correct(gold, text)
    print(f"ordinary answers: {len(answers) / (time.process_time() - begun):.0f} a second of CPU time")


async def hostile() -> None:
    deadline = TaskConfig().grade_deadline
    grader, longest, failed = DeadlineGrader(MathGrading(), deadline, workers=2), 0.0, 0

    async def one(text: str) -> None:
        nonlocal longest, failed
        async with children:
            begun = time.monotonic()
            graded = await grader.grade(problem("7"), text)
            longest, failed = max(longest, time.monotonic() - begun), failed + bool(graded.failure)

    children = asyncio.Semaphore(2)
    logging.getLogger("raysgpo").setLevel(logging.ERROR)
    begun = time.monotonic()
    for texts in batched(hostile_answers(HOSTILE, seed=0)):
        await asyncio.gather(*map(one, texts))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        f"{HOSTILE} hostile answers in {time.monotonic() - begun:.0f} s: the longest took {longest:.1f} s (deadline "
        f"{deadline:g} s of CPU time), {failed} were given up, a child had at most {memory:.2f} GiB"
    )


def batched(texts: Iterator[str], size: int = 100) -> Iterator[list[str]]:
    """So many at a time: a million characters each."""
    while batch := list(islice(texts, size)):
        yield batch


if __name__ == "__main__":
    main()
