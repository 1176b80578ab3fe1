"""Grading behind a deadline: answers are written by a model, so a grader may hang or raise on them.

``9**9**9**9`` keeps a symbolic grader busy for ever inside one C call, where neither a thread nor
a Python signal handler can stop it. So it runs in a child process that is killed at the
deadline and started again. A failure is a value, and counted (``grader/timeouts``, ``grader/errors``):
the answer counts as wrong, or its group is dropped, as ``task.failed_grading`` says.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from typing import Literal, Protocol

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.grader_child import OVER_TIME, GradeFn, Reply
from raysgpo.tasks.scrubbed import scrubbed
from raysgpo.tasks.task import Grade, Task, checked_grade

_log = logging.getLogger(__name__)
PATIENCE = 20.0
"""Times its deadline of CPU time that a grading may take by the clock, on a machine that is busy."""
_WRONG = Grade(correct=False, parts={"correctness": 0.0})


class Grader(Protocol):
    """Grades one response without ever raising for what the response says."""

    async def grade(self, problem: Problem, text: str) -> Grade: ...

    def close(self) -> None: ...


def make_grader(task: Task, config: TaskConfig, workers: int = 1) -> Grader:
    """The grader that the task needs: what is surely fast is graded in place, all else behind a deadline."""
    if config.row.bounded_grading:
        return InlineGrader(task.grade)
    return DeadlineGrader(task.grade, config.grade_deadline, workers)


class ToldGrader:
    """A grader, and who is told of each grade."""

    def __init__(self, grader: Grader, told: Callable[[], None]) -> None:
        self._grader = grader
        self._told = told

    async def grade(self, problem: Problem, text: str) -> Grade:
        grade = await self._grader.grade(problem, text)
        self._told()
        return grade

    def close(self) -> None:
        self._grader.close()


class InlineGrader:
    """For graders whose time is bounded by the length of the text: no process, no deadline."""

    def __init__(self, grade: GradeFn) -> None:
        self._grade = grade

    async def grade(self, problem: Problem, text: str) -> Grade:
        try:
            return checked_grade(self._grade(problem, text))
        except Exception as error:  # a grader may raise anything on a model's text
            return _failed("errors", problem, repr(error))

    def close(self) -> None:
        """Nothing to end."""


class DeadlineGrader:
    """``workers`` child processes, each grading one response at a time, ``deadline`` seconds of CPU time at most.

    CPU time, since on a busy machine a right answer is as right as on an idle one; of the clock it may take
    PATIENCE times as long, and so may one that only waits.

    ``grade`` must pickle; the grading function alone should, not its data set. Children are started when
    they are first needed, by exec and not by fork (the caller may run threads), and import only what
    ``grade`` needs. Usable from any event loop. The deadline counts from the moment a child takes
    the response, so waiting for a free child costs none of it.
    """

    def __init__(
        self,
        grade: GradeFn,
        deadline: float,
        workers: int = 1,
        start_deadline: float = 120.0,
        patience: float = PATIENCE,
    ) -> None:
        assert deadline > 0, f"a deadline is a positive number of seconds, got {deadline}"
        self._pickled = pickle.dumps(grade)
        self._deadline = deadline
        self._start_deadline = start_deadline
        self._patience = patience * deadline
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="grader")
        self._idle: SimpleQueue[_Child | None] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)

    async def grade(self, problem: Problem, text: str) -> Grade:
        """Its grade; wrong, with ``failure`` set, if it raised, died or passed the deadline.

        Raises RuntimeError if a child cannot be started: that is no answer's fault.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, problem, text)

    def close(self) -> None:
        """End the children; gradings under way finish first, within their deadlines."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            if (child := self._idle.get()) is not None:
                child.kill()

    def _ask(self, problem: Problem, text: str) -> Grade:
        """Runs in a thread; there are as many threads as children, so one is always idle."""
        child = self._idle.get(timeout=self._start_deadline)
        try:
            child = child or _Child(self._pickled, self._deadline, self._patience, self._start_deadline)
            grade = child.ask(problem, text)
        except TimeoutError:
            grade = _failed("timeouts", problem, f"no verdict after {self._deadline:g} s of CPU time")
        except (EOFError, OSError) as error:
            grade = _failed("errors", problem, f"the grading process died: {error!r}")
        finally:
            self._idle.put(child if child is not None and child.usable else None)
        return grade


class _Child:
    """One child process and the pipe to it. Whatever goes wrong kills it; ``usable`` then is False."""

    def __init__(self, pickled: bytes, deadline: float, patience: float, start_deadline: float) -> None:
        self.usable = True
        self._patience = patience
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "raysgpo.tasks.grader_child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=scrubbed(),
        )
        theirs.close()
        try:
            self._pipe.send((pickled, deadline, patience))
            self._receive(start_deadline)
        except (TimeoutError, EOFError, OSError) as error:
            self.kill()
            raise RuntimeError(
                f"the grading process did not start within {start_deadline:g} s "
                f"(exit code {self._process.returncode}): see its message on stderr"
            ) from error

    def ask(self, problem: Problem, text: str) -> Grade:
        """Raises TimeoutError past the deadline, EOFError or OSError if the child died."""
        try:
            self._pipe.send((replace(problem, metadata={}), text))
            grade, error = self._receive(self._patience)
        except (TimeoutError, EOFError, OSError) as failure:
            self.kill()
            if self._process.returncode == OVER_TIME:
                raise TimeoutError from failure
            raise
        return grade if grade is not None else _failed("errors", problem, error)

    def kill(self) -> None:
        self.usable = False
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _receive(self, seconds: float) -> Reply:
        pipe: Connection[object, Reply] = self._pipe
        if not pipe.poll(seconds):
            raise TimeoutError(f"nothing came back within {seconds:g} s")
        return pipe.recv()


def _failed(failure: Literal["timeouts", "errors"], problem: Problem, why: str) -> Grade:
    _log.warning("grading an answer to problem %s failed: %s", problem.id, why)
    return replace(_WRONG, failure=failure)
