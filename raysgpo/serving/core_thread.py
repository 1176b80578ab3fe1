"""vLLM's engine core as a thread of its front end's process, where vLLM would start a process.

On a CPU nothing is gained by the second process: both compute on the same cores. It is another import of vLLM, some ten
seconds of a core, and 0.6 GiB. What passes between the two is the same as ever, over the same sockets.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)


class CoreThread:
    """The part of ``multiprocessing.Process`` that vLLM's manager of engine cores uses."""

    pid = None
    """Of a process that could be killed: there is none."""

    def __init__(self, name: str, arguments: Mapping[str, Any], begun: Callable[[Any], None]) -> None:
        """``arguments``: of vLLM's core; ``begun`` is told it before it does anything."""
        self.name = name
        self.exitcode: int | None = None
        self.sentinel, self._ended = os.pipe()
        """Readable from the end of the thread on."""
        self._arguments = {name: value for name, value in arguments.items() if not name.endswith("dp_rank")}
        self._begun = begun
        self._core: Any = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def terminate(self) -> None:
        """Ask the core to end, as SIGTERM does; one that does not get to hear it ends with the process."""
        from vllm.v1.engine import EngineCoreRequestType
        from vllm.v1.engine.core import EngineShutdownState

        if self._core is not None:
            self._core.shutdown_state = EngineShutdownState.REQUESTED
            self._core.input_queue.put_nowait((EngineCoreRequestType.WAKEUP, None))

    def _run(self) -> None:
        from vllm.v1.engine.core import EngineCoreProc

        status = 1
        try:
            with _own_threads():
                self._core = EngineCoreProc(engine_index=0, **self._arguments)
            self._begun(self._core)
            self._core.run_busy_loop()
        except SystemExit:  # how its loop ends
            status = 0
        except Exception:
            log.exception("the engine core died")
            if self._core is not None:
                self._core._send_engine_dead()
        finally:
            if self._core is not None:
                self._core.shutdown()
            self.exitcode = status
            os.close(self._ended)


@contextmanager
def _own_threads() -> Iterator[None]:
    """OpenMP has a number of threads for each thread that computes; vLLM's worker forbids all others to set theirs."""
    import torch

    set_threads = torch.set_num_threads
    set_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        yield
    finally:
        torch.set_num_threads = set_threads
