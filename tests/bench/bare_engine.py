"""vLLM as it comes, in the shape that a replica's engine has: what a graph around it is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from raysgpo.config import RolloutConfig
from raysgpo.serving import engine as engine_file
from raysgpo.serving.engine import VllmEngine


async def bare_engine(model: str, rollout: RolloutConfig) -> VllmEngine:
    """Started, with the arguments and sizes of a replica's engine; vLLM starts its core, and hands over its outputs."""
    engine = VllmEngine(model, rollout)
    with _as_it_comes():
        await engine.start()
    return engine


@contextmanager
def _as_it_comes() -> Iterator[None]:
    ours = engine_file.start_engine
    engine_file.start_engine = _start
    try:
        yield
    finally:
        engine_file.start_engine = ours


def _start(arguments: Any, core_process: bool) -> Any:
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)
