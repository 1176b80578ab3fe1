"""Processes that read what a model wrote, each killed at its deadline and started again.

``9**9**9**9`` keeps a symbolic grader busy for ever inside one C call, where neither a thread nor a Python signal
handler can stop it.
"""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue

from raysgpo.records import Problem
from raysgpo.tasks.grader_child import OVER_TIME
from raysgpo.tasks.scrubbed import scrubbed
from raysgpo.tasks.worth import Failed, Worth, WorthFn

PATIENCE = 20.0
"""Times its deadline of CPU time that a grading may take by the clock, on a machine that is busy."""
START_DEADLINE = 120.0


class GraderPool:
    """``workers`` child processes, each asked one thing at a time, ``deadline`` seconds of CPU time a text at most.

    CPU time, since on a busy machine a right answer is as right as on an idle one; of the clock a question may take
    ``patience`` seconds, and so may one that only waits.

    ``function`` must pickle; the function alone should, not its data set. Children are started when they are first
    needed, by exec and not by fork (the caller may run threads), and import only what it needs. Usable from any event
    loop. The deadline counts from the moment a child takes the texts, so waiting for a free child costs none of it.
    """

    def __init__(
        self,
        function: WorthFn,
        deadline: float,
        workers: int = 1,
        start_deadline: float = START_DEADLINE,
        patience: float | None = None,
    ) -> None:
        assert deadline > 0, f"a deadline is a positive number of seconds, got {deadline}"
        self._pickled = pickle.dumps(function)
        self._deadline = deadline
        self._start_deadline = start_deadline
        self._patience = PATIENCE * deadline if patience is None else patience
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="grader")
        self._idle: SimpleQueue[_Child | None] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)

    async def ask(self, problem: Problem, texts: list[str]) -> list[Worth]:
        """What each text is worth; ``Failed`` of all of them if the child died or passed the deadline.

        Raises RuntimeError if a child cannot be started: that is no text's fault.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, problem, texts)

    def close(self) -> None:
        """End the children; what is under way finishes first, within its deadline."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            if (child := self._idle.get()) is not None:
                child.kill()

    def _ask(self, problem: Problem, texts: list[str]) -> list[Worth]:
        """Runs in a thread; there are as many threads as children, so one is always idle."""
        child = self._idle.get(timeout=self._start_deadline)
        try:
            child = child or _Child(self._pickled, self._deadline, self._patience, self._start_deadline)
            return child.ask(problem, texts)
        except TimeoutError as error:
            return [Failed("timeouts", str(error))] * len(texts)
        except (EOFError, OSError) as error:
            return [Failed("errors", f"the grading process died: {error!r}")] * len(texts)
        finally:
            self._idle.put(child if child is not None and child.usable else None)


class _Child:
    """One child process and the pipe to it. Whatever goes wrong kills it; ``usable`` then is False."""

    def __init__(self, pickled: bytes, deadline: float, patience: float, start_deadline: float) -> None:
        self.usable = True
        self._deadline, self._patience = deadline, patience
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "raysgpo.tasks.grader_child", str(theirs.fileno())],
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

    def ask(self, problem: Problem, texts: list[str]) -> list[Worth]:
        """Raises TimeoutError past the deadline, EOFError or OSError if the child died."""
        try:
            self._pipe.send((problem, texts))
            return self._receive(self._patience)
        except (TimeoutError, EOFError, OSError) as failure:
            self.kill()
            if isinstance(failure, TimeoutError):
                raise TimeoutError(f"nothing came back within {self._patience:g} s") from failure
            if self._process.returncode == OVER_TIME:
                raise TimeoutError(f"no verdict after {self._deadline * len(texts):g} s of CPU time") from failure
            raise

    def kill(self) -> None:
        self.usable = False
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _receive(self, seconds: float) -> list[Worth]:
        pipe: Connection[object, list[Worth]] = self._pipe
        if not pipe.poll(seconds):
            raise TimeoutError
        return pipe.recv()
