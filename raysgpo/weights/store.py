"""The weight store: the newest published weights, where every replica can pull them.

A version is a publish counter that never goes back. After a trainer restart the counter goes on from
``latest() + 1``, so that no two sets of weights ever share a number.

The store is an actor without CPU. It puts the payload into the object store *itself*, and so owns it:
weights published by a trainer that died a second later can still be pulled. Only the newest version
is kept; an older one lives on while somebody who pulled it still holds it (Ray counts references).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import ray

from raysgpo.remote import Call, Pending
from raysgpo.weights.payload import NOTHING_PUBLISHED, WeightPayload


class WeightsNotPublished(TimeoutError):
    """The version asked for was not published within the time allowed."""


class StoreHandle(Protocol):
    """The handle of a :class:`WeightStore`."""

    @property
    def publish(self) -> Call[[int, WeightPayload], int]: ...

    @property
    def get(self) -> Call[[int, float], tuple[int, list[Pending[WeightPayload]]]]: ...

    @property
    def latest(self) -> Call[[], int]: ...


class WeightStore:
    """``publish`` by the trainer, ``get`` by the replicas, ``latest`` by anyone."""

    def __init__(self, put: Callable[[WeightPayload], Any] = ray.put) -> None:
        self._put = put
        self._version = NOTHING_PUBLISHED
        self._reference: Any = None
        self._published = asyncio.Condition()

    async def publish(self, version: int, payload: WeightPayload) -> int:
        """Make ``payload`` the newest weights; returns its version.

        Raises:
            ValueError: ``version`` does not lie above every version published before.
        """
        async with self._published:
            if version <= self._version:
                raise ValueError(
                    f"version={version} was published after version {self._version}, but versions never go "
                    "back: publish latest() + 1"
                )
            self._reference = self._put(payload)
            self._version = version
            self._published.notify_all()
        return version

    async def get(self, min_version: int, timeout: float) -> tuple[int, list[Any]]:
        """(version, [object reference of its payload]) of the newest weights, at least ``min_version``.

        The reference travels inside a list, for Ray would otherwise hand out the payload by value.

        Raises:
            WeightsNotPublished: nothing that new was published within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout), self._published:
                await self._published.wait_for(lambda: self._version >= max(min_version, 0))
                return self._version, [self._reference]
        except TimeoutError as error:
            raise WeightsNotPublished(
                f"weights of version {min_version} were not published within {timeout:g} s; "
                f"the newest are of version {self._version}"
            ) from error

    async def latest(self) -> int:
        """The newest version; ``NOTHING_PUBLISHED`` before the first."""
        return self._version


def start_weight_store(name: str | None = None) -> StoreHandle:
    """The store as an actor, dead when its last handle is gone (or, with a name, by ``ray.kill``).

    One that died otherwise is started again by Ray behind the same handle, and is empty.
    """
    actor = ray.remote(WeightStore)
    # Pulls wait inside get(): far more of them than replicas must fit beside a publish.
    store: StoreHandle = actor.options(num_cpus=0, name=name, max_concurrency=10_000, max_restarts=-1).remote()
    return store
