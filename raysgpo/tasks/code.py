"""Programs in Python, graded by running them against tests in a sandbox.

A row is ``{"question": ..., "tests": ..., "entry_point": ..., "solution": ..., "id": ...}``; the names that HumanEval,
MBPP and LiveCodeBench have for them are known too. ``code_tests`` says which forms tests have. All other fields are
kept as metadata, beside ``tests``, the tests as a judge is shown them.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from raysgpo.config import TaskConfig
from raysgpo.config.sandbox import SandboxConfig
from raysgpo.records import TESTS, Problem
from raysgpo.sandbox import check_sandbox
from raysgpo.tasks.code_grading import CodeGrading, outcome
from raysgpo.tasks.code_program import complete_program
from raysgpo.tasks.code_steps import split_code
from raysgpo.tasks.code_tests import CodeTests, read_tests, shown, unpacked
from raysgpo.tasks.code_text import fences
from raysgpo.tasks.held_out import distinct, divided
from raysgpo.tasks.input_rows import input_rows
from raysgpo.tasks.turns import behind

FUNCTION = "Put the whole program in one ```python fence."
SCRIPT = "Write a Python program that reads standard input and prints the answer. " + FUNCTION
"""What is said behind a question whose tests are asserts, or standard input."""
NAMES = {
    "id": ("id", "task_id", "question_id"),
    "question": ("question", "prompt", "text", "question_content"),
    TESTS: (TESTS, "test", "test_list", "public_test_cases", "input_output"),
    "entry_point": ("entry_point",),
    "solution": ("solution", "canonical_solution", "code", "answer"),
    "setup": ("test_setup_code", "test_imports"),
    "private": ("private_test_cases",),
}
"""What a row has, under the names that data sets have for it; the first that is there counts."""
MOST_SECONDS = 300.0
"""For running the solutions of a file."""
NAMED = 5


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that can be used."""

    number: int
    problem: Problem
    program: str | None
    """Of its solution; None where that does not define what the tests call."""
    solved: bool


class CodeTask:
    """The rows of ``config.path``, less those held out; a :class:`raysgpo.tasks.task.Task`.

    Held out are ``held_out`` rows of ``config.eval_path``, or of ``config.path`` itself where there is none; no
    question of them is in ``train``. Left out, with a word, are rows whose tests cannot be run, and of the first
    ``config.check_solutions`` those whose own solution fails its tests.
    """

    reward_range = (0.0, 1.0)

    def __init__(self, config: TaskConfig, held_out: int) -> None:
        assert config.path is not None, "the configuration refuses task.kind=code without task.path"
        check_sandbox()
        self._steps, self._max_steps = config.code_steps, config.max_reasoning_steps
        rows = read_programs(config, config.path, "task.path")
        source = rows if config.eval_path is None else read_programs(config, config.eval_path, "task.eval_path")
        self.held_out, self.train = divided(rows, distinct(source, _question), held_out, _question, config.path)
        self.grade = CodeGrading(config.sandbox, config.test_reward, config.format_reward)
        """Called as ``grade(problem, text)``; it waits for the program, so a DeadlineGrader calls it."""

    def split(self, text: str) -> list[str]:
        return split_code(text, self._steps, self._max_steps)


def read_programs(config: TaskConfig, path: str, key: str) -> tuple[Problem, ...]:
    """The rows of a JSONL file; ``key`` is the setting that named it.

    Raises:
        ValueError: a row without a question or tests, or no row that can be used.
    """
    where = f"{key}={path}"
    rows: dict[str, _Row] = {}
    unusable: list[tuple[int, str]] = []
    for number, place, given in input_rows(path, where):
        try:
            row = _row(_named(given, place), number, place, config.instruction)
        except _Unusable as error:
            unusable.append((number, str(error)))
            continue
        if row.problem.id in rows:
            raise ValueError(
                f"{place}: the id {row.problem.id!r} was used by an earlier row: make the ids distinct, or leave "
                "them out"
            )
        rows[row.problem.id] = row
    _tell(where, "whose tests cannot be run", tuple(unusable))
    failing = _failing(list(rows.values()), config, where)
    _tell(where, "whose solution fails its own tests", tuple(failing.items()))
    problems = tuple(row.problem for row in rows.values() if row.number not in failing)
    if not problems:
        number, why = (*unusable, *failing.items())[0]
        raise ValueError(f"{where}: no row can be used; of row {number}: {why}")
    return problems


class _Unusable(Exception):
    """Why a row is left out."""


def _named(given: dict[str, Any], where: str) -> dict[str, Any]:
    """The row under our own names; the rest of it as ``metadata``."""
    row: dict[str, Any] = {}
    for ours, names in NAMES.items():
        row[ours] = next((given[name] for name in names if given.get(name) is not None), None)
    for name in ("question", TESTS):
        if row[name] is None or row[name] == "" or row[name] == []:
            others = ", ".join(NAMES[name][1:])
            raise ValueError(f"{where}: no {name}: add the field {name!r} (also called {others}) or remove the row")
    used = {name for names in NAMES.values() for name in names}
    row["metadata"] = {name: value for name, value in given.items() if name not in used}
    return row


def _row(row: dict[str, Any], number: int, where: str, instruction: str | None) -> _Row:
    """Raises _Unusable for tests that do not parse, ValueError for fields of another type."""
    for name in ("question", "entry_point", "solution"):
        if row[name] is not None and not isinstance(row[name], str):
            raise ValueError(f"{where}: {name} is {type(row[name]).__name__} where text was expected")
    question, solution = row["question"], row["solution"]
    try:
        setup = row["setup"] if isinstance(row["setup"], str) else "\n".join(row["setup"] or ())
        tests = read_tests(_all_tests(row), row["entry_point"], question, setup)
    except (ValueError, TypeError) as error:
        raise _Unusable(str(error)) from None
    program = reference = None
    if solution is not None and solution.strip():
        program = complete_program(solution, tests.before, tests.entry_point)
        reference = solution if fences(solution) else _fenced(solution, program, tests)
    said = instruction if instruction is not None else SCRIPT if tests.asserts is None else FUNCTION
    problem = Problem(
        id=f"row-{number}" if row["id"] is None else str(row["id"]),
        prompt=question.strip() + _named_function(question, tests) + behind(said),
        answer=tests.text(),
        reference=reference,
        metadata={**row["metadata"], TESTS: shown(tests)},
    )
    return _Row(number, problem, program, solved=reference is not None)


def _all_tests(row: dict[str, Any]) -> Any:
    """The tests, and LiveCodeBench's private ones behind its public ones."""
    if row["private"] is None:
        return row[TESTS]
    public = unpacked(row[TESTS]) if isinstance(row[TESTS], str) else row[TESTS]
    private = unpacked(row["private"]) if isinstance(row["private"], str) else row["private"]
    return [*public, *private]


def _fenced(solution: str, program: str | None, tests: CodeTests) -> str:
    """A solution as an answer says it; one that goes on where the question ends, with the question's code."""
    whole = program if program is not None and program == tests.before + solution else solution
    return f"```python\n{whole.strip(chr(10))}\n```"


def _named_function(question: str, tests: CodeTests) -> str:
    """What the function is to be called, and its first test, where the question does not say."""
    name = tests.entry_point
    if tests.asserts is None or name is None or re.search(rf"\b{re.escape(name)}\s*\(|`{re.escape(name)}`", question):
        return ""
    first = next(source for is_test, source in tests.asserts.statements if is_test)
    return f"\nThe function is called {name}; it passes, for example,\n{first}"


def _failing(rows: Sequence[_Row], config: TaskConfig, where: str) -> dict[int, str]:
    """By the row's number, what is wrong with its solution. What fails is run again by itself: it may have waited."""
    solved = [row for row in rows if row.solved]
    chosen = solved[: config.check_solutions]
    end = time.monotonic() + MOST_SECONDS

    def passes(row: _Row) -> bool:
        if time.monotonic() > end:
            raise ValueError(
                f"{where}: to run {len(chosen)} solutions against their tests takes longer than {MOST_SECONDS:.0f} s: "
                f"lower task.check_solutions={config.check_solutions}, or task.sandbox.deadline"
            )
        return row.program is not None and _passes(row.program, row.problem.answer, config.sandbox)

    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        first = dict(zip([row.number for row in chosen], threads.map(passes, chosen), strict=True))
    doubted = [row for row in chosen if not first[row.number]]
    if len(chosen) < len(solved) and chosen:
        _say(f"{where}: the solutions of {len(chosen)} of {len(solved)} rows were run (task.check_solutions)")
    return {row.number: "mend the solution or its tests, or remove it" for row in doubted if not passes(row)}


def _passes(program: str, answer: str, sandbox: SandboxConfig) -> bool:
    tests = CodeTests.of(answer)
    passed, _ = outcome(program, tests, sandbox, every=False)
    return passed == tests.count


@cache  # once a process
def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _tell(where: str, what: str, rows: tuple[tuple[int, str], ...]) -> None:
    """Says which rows, by number and reason, are left out."""
    if rows:
        numbers = ", ".join(str(number) for number, _ in rows[:NAMED])
        more = f" and {len(rows) - NAMED} more" if rows[NAMED:] else ""
        _say(f"{where}: left out {'row' if len(rows) == 1 else 'rows'} {numbers}{more}, {what}: {rows[0][1]}")


def _question(problem: Problem) -> str:
    return problem.prompt
