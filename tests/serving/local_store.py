"""A weight store in this process's event loop, without actors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import torch

from raysgpo.weights.store import Found, WeightStore
from tests.weights.publishing import written


def weights(version: int) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), float(version))}


class Remote:
    """``actor.method`` with ``.remote``, without an actor."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method


class LocalStore:
    """A weight store in this event loop; counts the pulls."""

    def __init__(self) -> None:
        self.inner = WeightStore(self)
        self.pulls = 0
        self.get = Remote(self._get)
        self.begin = Remote(self.inner.begin)
        self.publish = Remote(self.inner.publish)
        self.done = Remote(self.inner.done)
        self.latest = Remote(self.inner.latest)
        self.chunk = Remote(self.inner.chunk)

    async def _get(self, min_version: int, timeout: float) -> Found:
        self.pulls += 1
        return await self.inner.get(min_version, timeout)

    async def put(self, version: int) -> None:
        file, manifest = written(weights(version).items())
        with file:
            await self.inner.publish(version, manifest)
