"""How many of its tests does a program pass?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from raysgpo.config.sandbox import SandboxConfig
from raysgpo.records import CORRECTNESS, Problem
from raysgpo.sandbox import Limits, run_script, run_tests
from raysgpo.tasks.code_program import complete_program
from raysgpo.tasks.code_tests import CodeTests, Pair
from raysgpo.tasks.code_text import is_fenced
from raysgpo.tasks.task import Grade

TestReward = Literal["all", "share"]
THRESHOLD = 0.5
"""Every wrong program is worth less, a right one 1: the worth of an answer that is neither."""


@dataclass(frozen=True, slots=True)
class CodeGrading:
    """Runs the program of a response in the sandbox; small, so that it pickles without the data set.

    ``readings`` are the share of the tests that it passed, and whether it was ended at its deadline; empty where the
    response has no program.
    """

    sandbox: SandboxConfig
    reward: TestReward = "all"
    format_reward: float = 0.0

    def __call__(self, problem: Problem, text: str) -> Grade:
        """Raises SandboxError where the sandbox does not come up."""
        tests = CodeTests.of(problem.answer)
        grade = self._graded(tests, text)
        if self.format_reward > 0:
            grade.parts["format"] = self.format_reward if is_fenced(text) else 0.0
        return grade

    def _graded(self, tests: CodeTests, text: str) -> Grade:
        program = complete_program(text, tests.before, tests.entry_point)
        if program is None:
            return Grade(False, {CORRECTNESS: 0.0}, readings={})
        passed, timed_out = outcome(program, tests, self.sandbox, every=self.reward == "share")
        correct = passed == tests.count
        share = passed / tests.count
        worth = share * THRESHOLD if self.reward == "share" else 0.0
        readings = {"tests_passed": share, "timed_out": float(timed_out)}
        return Grade(correct, {CORRECTNESS: 1.0 if correct else worth}, readings=readings)


def outcome(program: str, tests: CodeTests, sandbox: SandboxConfig, every: bool = True) -> tuple[int, bool]:
    """(tests passed, whether it was ended at its deadline). Without ``every``, inputs behind a failed one are not
    tried; behind one that was ended none is."""
    limits = Limits(sandbox.deadline, int(sandbox.memory_gib * 2**30), int(sandbox.output_mib * 2**20), sandbox.threads)
    if tests.asserts is not None:
        verdict = run_tests(program, tests.asserts, limits)
        return sum(verdict.passed), verdict.timed_out
    passed = 0
    for pair in tests.pairs:
        run = run_script(program, pair.input, limits)
        right = run.output is not None and _prints(run.output.decode("utf-8", "replace"), pair)
        passed += right
        if run.timed_out or not (right or every):
            return passed, run.timed_out
    return passed, False


def _prints(output: str, pair: Pair) -> bool:
    """Line by line, without regard to white space at ends of lines and of the text; numbers by their value."""
    printed, expected = _lines(output), _lines(pair.output)
    return len(printed) == len(expected) and all(map(_equal, printed, expected))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def _equal(line: str, other: str) -> bool:
    if line == other:
        return True
    words, others = line.split(), other.split()
    return len(words) == len(others) and all(
        one == two or ((number := _number(one)) is not None and number == _number(two))
        for one, two in zip(words, others, strict=True)
    )


def _number(word: str) -> Decimal | None:
    try:
        return Decimal(word)
    except InvalidOperation:
        return None
