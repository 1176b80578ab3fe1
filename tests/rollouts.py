"""Rollout replicas for tests and benchmarks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.engine import EngineFactory, VllmEngine
from raysgpo.weights.store_transport import StoreTransport


def deploy_rollout(
    model: str,
    rollout: RolloutConfig,
    transport: StoreTransport,
    *,
    name: str = "rollout",
    groups: int = 1,
    engine: EngineFactory = VllmEngine,
) -> Any:
    """The handle of replicas that run, with all that Serve's handles can do."""
    handle = start_rollout(model, rollout, transport, name=name, groups=groups, engine=engine)
    wait_for_rollout(model, rollout, name, print)
    return handle


class Sampled:
    """A request to replicas under way."""

    def __init__(self, handle: Any, request: SampleRequest) -> None:
        self._stream = handle.options(stream=True).sample.remote(request)

    def result(self, timeout_s: float) -> list[Completion]:
        """The completions, the beats before them left out."""
        return asyncio.run(asyncio.wait_for(last(self._stream), timeout_s))


async def last(answer: AsyncIterator[Any]) -> Any:
    """What comes last."""
    return [said async for said in answer][-1]
