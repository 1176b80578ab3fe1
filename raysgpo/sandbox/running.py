"""A program against tests of its functions, or against one standard input.

    program  <--- calls, values --->  tests  --- 1011 --->  here

The tests are never in the process of the program, so it can neither read nor change them, and what it prints, patches
or ends says nothing. Each of the two is in a sandbox of its own: tests of a data set are no more trusted than programs.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from raysgpo.sandbox.inside.values import written
from raysgpo.sandbox.limits import Limits
from raysgpo.sandbox.process import SandboxError, SandboxProcess, held

STARTED = b"s"
"""What ``inside/boundary.py`` says first."""
START_DEADLINE = 60.0
"""Seconds for a sandbox to come up."""


@dataclass(frozen=True, slots=True)
class Tests:
    """Statements that call a program: those that are tests pass or fail, the others are what they need."""

    __test__ = False  # pytest would collect it

    statements: tuple[tuple[bool, str], ...]
    """(whether it is a test, Python) in their order; a statement that is no test and raises fails all behind it."""
    called: tuple[str, ...]
    """Names of the program that they call."""
    before: str = ""
    """Python that runs first, in the process of the tests."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further names for those of ``called``."""

    @property
    def count(self) -> int:
        return sum(is_test for is_test, _ in self.statements)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a program and its tests."""

    passed: tuple[bool, ...]
    """One a test, in their order; a test that was not come to has failed."""
    seconds: float
    """From the start of the program to the end of everything in its sandbox."""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one standard input."""

    output: bytes | None
    """All that it printed; None where it did not end well: an exception, a bound that it passed, a status that is not
    0."""
    seconds: float
    """From the start of the program to the end of everything in its sandbox."""
    timed_out: bool = False


def run_tests(program: str, tests: Tests, limits: Limits) -> Verdict:
    """Within ``limits.seconds``, for all tests together.

    Raises:
        SandboxError: the sandbox did not come up.
    """
    work = {
        "before": tests.before, "called": tests.called, "aliases": dict(tests.aliases), "statements": tests.statements
    }  # fmt: skip
    with _Ours() as ours:
        calls = [ours.keep(end.detach()) for end in socket.socketpair()]
        verdict_r, verdict_w = ours.pipe()
        started_r, started_w = ours.pipe()
        nothing = ours.keep(os.open(os.devnull, os.O_RDWR))
        source = ours.keep(held(program.encode("utf-8", "surrogatepass")))
        checks = ours.keep(held(written(work, _refuse)))
        checker = ours.start("checker", [verdict_w, checks, calls[0]], limits, stdin=nothing, stdout=nothing)
        runner = ours.start("program", [started_w, source, calls[1]], limits, stdin=nothing, stdout=nothing)
        ours.close_all(*calls, verdict_w, started_w)
        _wait_until_up(runner, started_r)
        _wait_until_up(checker, verdict_r)
        begun = time.monotonic()
        said = _read(verdict_r, begun + limits.seconds, tests.count)
        late = len(said) < tests.count and time.monotonic() >= begun + limits.seconds
        checker.kill()
        runner.kill()
        passed = [character == ord("1") for character in said] + [False] * (tests.count - len(said))
        return Verdict(tuple(passed), time.monotonic() - begun, late)


def run_script(program: str, stdin: str, limits: Limits) -> Run:
    """Within ``limits.seconds``.

    Raises:
        SandboxError: the sandbox did not come up.
    """
    with _Ours() as ours:
        started_r, started_w = ours.pipe()
        output_r, output_w = ours.pipe()
        source = ours.keep(held(program.encode("utf-8", "surrogatepass")))
        given = ours.keep(held(stdin.encode("utf-8", "surrogatepass")))
        runner = ours.start("script", [started_w, source], limits, stdin=given, stdout=output_w)
        ours.close_all(started_w, output_w)
        _wait_until_up(runner, started_r)
        begun = time.monotonic()
        output = _read(output_r, begun + limits.seconds, limits.output + 1)
        ended = len(output) <= limits.output and runner.ends_by(begun + limits.seconds)
        status, late = runner.status, time.monotonic() >= begun + limits.seconds
        runner.kill()
        seconds = time.monotonic() - begun
        return Run(output if ended and status == 0 else None, seconds, timed_out=late and not ended)


class _Ours(ExitStack):
    """The descriptors and processes of one run: closed and killed at its end, whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()
        self.callback(lambda: self.close_all(*self._open))

    def keep(self, descriptor: int) -> int:
        self._open.add(descriptor)
        return descriptor

    def pipe(self) -> tuple[int, int]:
        reading, writing = os.pipe()
        return self.keep(reading), self.keep(writing)

    def close_all(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            self._open.discard(descriptor)
            os.close(descriptor)

    def start(
        self, module: str, descriptors: Sequence[int], limits: Limits, *, stdin: int, stdout: int
    ) -> SandboxProcess:
        process = SandboxProcess(module, descriptors, limits, stdin=stdin, stdout=stdout)
        self.callback(process.close)
        return process


def _refuse(value: object) -> int:
    raise AssertionError(f"tests are texts, and no {type(value).__name__}")


def _read(descriptor: int, until: float, most: int) -> bytes:
    """What comes up to the end, the moment ``until`` or ``most`` bytes."""
    parts, count = [], 0
    while count < most and select.select([descriptor], [], [], max(until - time.monotonic(), 0))[0]:
        part = os.read(descriptor, min(most - count, 1 << 16))
        if not part:
            break
        parts.append(part)
        count += len(part)
    return b"".join(parts)


def _wait_until_up(process: SandboxProcess, started: int) -> None:
    """Raises SandboxError if it does not come up: a program is not to blame for a machine that is busy."""
    if _read(started, time.monotonic() + START_DEADLINE, len(STARTED)) == STARTED:
        return
    process.kill()
    said = process.said() or f"exit status {process.status} within {START_DEADLINE:g} s"
    raise SandboxError(f"the sandbox did not come up: {said}")
