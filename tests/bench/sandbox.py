"""How fast and how strict the sandbox is: ``python -m tests.bench.sandbox [FOLDER]``, of the question sets.

Said are good programs a second on all cores, in both forms; HumanEval's own solutions that pass, and how fast; pairs
of solutions whose verdicts are the recorded ones; and of the programs of ``tests/sandbox/programs.py`` those that got
what was not due, and how long the last outlived its deadline.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from raysgpo.config import TaskConfig
from raysgpo.config.sandbox import SandboxConfig
from raysgpo.output.json_lines import read_rows
from raysgpo.sandbox import Limits, run_script, run_tests
from raysgpo.tasks.code import read_programs
from raysgpo.tasks.code_grading import CodeGrading
from tests.sandbox.programs import ADD, READS, RIGHT, SUM, programs
from tests.sandbox.test_sandbox import ADDING, alive, left, outcome

RUNS = 200


def main() -> None:
    speed(f"asserts ({len(ADD)} tests)", lambda: all(run_tests(RIGHT, ADDING, Limits()).passed))
    speed("standard input", lambda: run_script(READS, SUM[0][0], Limits()).output == SUM[0][1].encode())
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        canonical(str(folder / "humaneval.jsonl"))
        pairs(folder / "code_pairs_dev.jsonl")
    strict()


def at_once(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(function, items))


def speed(name: str, run: Callable[[], bool]) -> None:
    begun = time.monotonic()
    right = sum(at_once(lambda _: run(), list(range(RUNS))))
    print(f"{name}: {RUNS / (time.monotonic() - begun):.1f} good programs a second, {right} of {RUNS} right")


def canonical(path: str) -> None:
    problems = read_programs(TaskConfig(kind="code", path=path, check_solutions=0))
    grading, begun = CodeGrading(SandboxConfig()), time.monotonic()
    grades = at_once(lambda problem: grading(problem, problem.reference), list(problems))
    seconds = time.monotonic() - begun
    print(f"HumanEval: {sum(grade.correct for grade in grades)} of {len(grades)} solutions pass, in {seconds:.1f} s")


def pairs(path: Path) -> None:
    rows, grading = list(read_rows(path)), CodeGrading(SandboxConfig())
    problems = read_programs(TaskConfig(kind="code", path=str(path), check_solutions=0))
    both = [(problem, row, one) for problem, row in zip(problems, rows, strict=True) for one in "ab"]
    asked = [(problem, row[f"solution_{one}"], row[f"correct_{one}"]) for problem, row, one in both]
    same = at_once(lambda one: grading(one[0], f"```python\n{one[1]}\n```").correct == one[2], asked)
    print(f"pairs: {sum(same)} of {len(same)} verdicts are the recorded ones ({len(rows)} pairs)")


def strict() -> None:
    begun = time.monotonic()
    found = at_once(outcome, list(programs()))
    undue = [one.program.name for one in found if one.passed != one.program.due]
    longest = max(one.over for one in found)
    print(
        f"{len(found)} programs in {time.monotonic() - begun:.0f} s: not what is due {undue or 'none'}; the last "
        f"outlived its deadline by {longest:.2f} s; left processes {alive() or 'none'}, files {left() or 'none'}"
    )


if __name__ == "__main__":
    main()
