"""The child process of a GraderPool: ``python -m raysgpo.tasks.grader_child PIPE_FD``.

It takes a pickled function and the deadline, says that it is ready, and then answers (problem, texts) with what the
function gives, or with what was raised, until the pipe is closed.
"""

from __future__ import annotations

import asyncio
import pickle
import resource
import signal
import sys
from multiprocessing.connection import Connection

from raysgpo.records import Problem
from raysgpo.tasks.worth import Failed, Worth, WorthFn
from raysgpo.user_code.modules import told

OVER_TIME = -signal.SIGPROF
"""Exit status of a child that had its deadline of CPU time."""

_MEMORY = 4 << 30
"""Bytes of address space; a grader that wants more gets a MemoryError instead of the machine."""
_GRACE = 1.0
"""Seconds past the parent's patience after which the child ends itself, should its parent be dead."""


def main(pipe_fd: int) -> None:
    pipe: Connection[list[Worth] | str, tuple[Problem, list[str]]] = Connection(pipe_fd)
    _limit_memory()
    start: tuple[bytes, float, float] = pipe.recv()  # type: ignore[assignment]
    pickled, deadline, patience = start
    function: WorthFn = pickle.loads(pickled)
    pipe.send("ready")
    with asyncio.Runner() as runner:
        while True:
            try:
                problem, texts = pipe.recv()
            except EOFError:
                return
            # The default action of both ends the process in the kernel, also in the middle of a C call.
            signal.setitimer(signal.ITIMER_PROF, deadline * len(texts))
            signal.setitimer(signal.ITIMER_REAL, patience + _GRACE)
            reply = _worths(function, problem, texts, runner)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send(reply)


def _worths(function: WorthFn, problem: Problem, texts: list[str], runner: asyncio.Runner) -> list[Worth]:
    try:
        worths = function(problem, texts)
        return runner.run(worths) if asyncio.iscoroutine(worths) else worths
    except Exception as error:  # what a user wrote may raise anything on a model's text
        return [Failed("errors", told(error))] * len(texts)


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
