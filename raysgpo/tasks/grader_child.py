"""The child process of a DeadlineGrader: ``python -m raysgpo.tasks.grader_child PIPE_FD``.

It takes a pickled grading function and the deadline, says that it is ready, and then answers (problem, text)
with (grade, "") or (None, what was raised), until the pipe is closed.
"""

from __future__ import annotations

import pickle
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from raysgpo.records import Problem
from raysgpo.tasks.task import Grade, checked_grade

GradeFn = Callable[[Problem, str], Grade]
Reply = tuple[Grade | None, str]
OVER_TIME = -signal.SIGPROF
"""Exit status of a child that had its deadline of CPU time."""

_MEMORY = 4 << 30
"""Bytes of address space; a grader that wants more gets a MemoryError instead of the machine."""
_GRACE = 1.0
"""Seconds past the parent's patience after which the child ends itself, should its parent be dead."""


def main(pipe_fd: int) -> None:
    pipe: Connection[Reply, tuple[Problem, str]] = Connection(pipe_fd)
    _limit_memory()
    start: tuple[bytes, float, float] = pipe.recv()  # type: ignore[assignment]
    pickled, deadline, patience = start
    grade: GradeFn = pickle.loads(pickled)
    pipe.send((None, "ready"))
    while True:
        try:
            problem, text = pipe.recv()
        except EOFError:
            return
        # The default action of both ends the process in the kernel, also in the middle of a C call.
        signal.setitimer(signal.ITIMER_PROF, float(deadline))
        signal.setitimer(signal.ITIMER_REAL, float(patience) + _GRACE)
        reply = _graded(grade, problem, text)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        pipe.send(reply)


def _graded(grade: GradeFn, problem: Problem, text: str) -> Reply:
    try:
        return checked_grade(grade(problem, text)), ""
    except Exception as error:  # a grader may raise anything on a model's text
        return None, f"{type(error).__name__}: {error}"[:500]


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
