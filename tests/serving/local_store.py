"""A weight store in this process's event loop, whose references are the payloads themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import torch

from raysgpo.weights.payload import WeightPayload, pack
from raysgpo.weights.store import WeightStore


def weights(version: int) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), float(version))}


class Remote:
    """``actor.method`` with ``.remote``, without an actor."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method


class LocalStore:
    """A weight store in this event loop; counts the pulls."""

    def __init__(self) -> None:
        self.inner = WeightStore(put=lambda payload: payload)
        self.pulls = 0
        self.get = Remote(self._get)
        self.publish = Remote(self.inner.publish)
        self.latest = Remote(self.inner.latest)

    async def _get(self, min_version: int, timeout: float) -> tuple[int, list[Any]]:
        self.pulls += 1
        version, [payload] = await self.inner.get(min_version, timeout)

        reference: asyncio.Future[WeightPayload] = asyncio.get_running_loop().create_future()
        reference.set_result(payload)
        return version, [reference]

    async def put(self, version: int) -> None:
        await self.inner.publish(version, pack(weights(version).items()))
