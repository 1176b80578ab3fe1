"""How vLLM's engines start here: in which process the core runs, how much it takes at once, and what it hands over.

The core is settled where vLLM's front end asks for a process: it gets a thread instead, or a process that begins here.
In either outputs of requests that are read when they end wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from raysgpo.serving.core_thread import CoreThread
from raysgpo.serving.held_outputs import HeldOutputs


def start_engine(arguments: Any, core_process: bool) -> Any:
    """An ``AsyncLLM`` of such ``AsyncEngineArgs``, its core in a process of its own or in a thread of this one."""
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM

    with _core(core_process):
        # Many at once matter more here than the time to a first token: the sizes of offline work, where
        # without a word they are half on a CPU, and an eighth on an H100.
        return AsyncLLM.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)


@contextmanager
def _core(process: bool) -> Iterator[None]:
    """The engine that is built meanwhile has its core there."""
    from vllm.v1.engine import utils

    before = utils.get_mp_context
    utils.get_mp_context = (lambda: _Processes(before())) if process else (lambda: _Threads)
    try:
        yield
    finally:
        utils.get_mp_context = before


class _Processes:
    """A context of ``multiprocessing`` whose processes are such cores."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def Process(self, target: Any, **named: Any) -> Any:  # multiprocessing's name
        """``target``: vLLM's, which :func:`run_core` calls."""
        return self._context.Process(target=run_core, **named)


class _Threads:
    """In the place of a context of ``multiprocessing``."""

    @staticmethod
    def Process(target: Any, name: str, kwargs: dict[str, Any]) -> CoreThread:
        """``target``: ignored, since it begins with what only the main thread of a process may do."""
        return CoreThread(name, kwargs, hold_outputs)


def run_core(**arguments: Any) -> None:
    """The whole of a core's process; its arguments are vLLM's."""
    from vllm.v1.engine.core import EngineCoreProc

    loop = EngineCoreProc.run_busy_loop

    def holding(core: Any) -> Any:
        hold_outputs(core)
        return loop(core)

    EngineCoreProc.run_busy_loop = holding
    EngineCoreProc.run_engine_core(**arguments)


def hold_outputs(core: Any) -> None:
    """``core``: an ``EngineCoreProc`` that has handed over nothing yet."""
    from vllm.sampling_params import RequestOutputKind

    def read_at_its_end(request_id: str) -> bool:
        """Stop strings are looked for in the text by the front end: a request with some must be seen as it grows."""
        request = core.scheduler.requests.get(request_id)
        parameters = None if request is None else request.sampling_params
        if parameters is None or parameters.stop or parameters.prompt_logprobs is not None:
            return False
        return bool(parameters.output_kind is RequestOutputKind.FINAL_ONLY)

    core.output_queue = HeldOutputs(core.output_queue, read_at_its_end)
