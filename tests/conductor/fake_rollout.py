"""A rollout deployment made of plain Python. An actor's handle answers as a Serve handle does.

It imports little, since each test starts one in a process of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import numpy as np

from raysgpo.records import Completion, SampleRequest


class FakeRollout:
    """Answers at once with the weights it was told it has, and remembers every request.

    The first of a group's answers is right and the others wrong; every answer is right where the
    problem's is even, so that such a group has no signal. With ``hopeless`` every answer is wrong, the
    g-th of a group after g good steps.
    """

    def __init__(self, held: list[tuple[int, ...]], broken: list[tuple[int, ...]], hopeless: bool) -> None:
        """``held``: seeds of requests that are answered after `release`; ``broken``: seeds that always fail."""
        self._held, self._broken, self._hopeless = held, broken, hopeless
        self._released = asyncio.Event()
        self._version = -1
        self.asked: list[tuple[float, SampleRequest]] = []

    async def set_version(self, version: int) -> None:
        self._version = version

    async def requests(self) -> list[tuple[float, SampleRequest]]:
        return self.asked

    async def release(self) -> None:
        self._released.set()

    async def sample(self, request: SampleRequest, run_id: str) -> list[Completion]:
        self.asked.append((time.time(), request))
        assert self._version >= request.min_version, "asked for weights that were not published"
        version = self._version
        if request.seeds_G in self._broken:
            raise ValueError("the engine cannot read this prompt")
        if request.seeds_G in self._held:
            await self._released.wait()
        answer = eval(bytes(request.prompt_ids).decode().partition("=")[0])
        if self._hopeless:
            return [_completion("good\n" * g + "bad\n#### 999", version) for g in range(len(request.seeds_G))]
        texts = [f"#### {answer if g == 0 or answer % 2 == 0 else answer + 1}" for g in range(len(request.seeds_G))]
        return [_completion(text, version) for text in texts]


class FakeHandle:
    """Of the actor, as a sampler sees a Serve handle: what a call gives is iterated over."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def options(self, *, stream: bool) -> FakeHandle:
        return self

    @property
    def sample(self) -> FakeHandle:
        return self

    def remote(self, request: SampleRequest, run_id: str) -> FakeStream:
        return FakeStream(self._actor.sample.remote(request, run_id))


class FakeStream:
    """An answer without beats."""

    def __init__(self, answer: Awaitable[list[Completion]]) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[list[Completion]]:
        yield await self._answer

    def cancel(self) -> None:
        """The actor goes on; nobody listens."""


def _completion(text: str, version: int) -> Completion:
    ids_T = np.array([*text.encode(), 256], dtype=np.int32)
    logprobs_T = np.full(len(ids_T), -0.5, dtype=np.float32)
    return Completion(ids_T, logprobs_T, "stop", text, ((version, len(ids_T)),))
