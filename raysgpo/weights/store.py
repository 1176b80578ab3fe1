"""The weight store: the newest published weights, where every replica can pull them.

    trainer, rank 0 -- writes --> memory of its node, held open by the shelf of that node
    replica of that node  <-- maps it
    replica elsewhere     <-- asks the shelf for it, chunk by chunk, through Ray's object store

A version is a publish counter that never goes back. After a trainer restart the counter goes on from
``latest() + 1``, so that no two sets of weights ever share a number.

The store is an actor without CPU, and itself the shelf of the node that it runs on; it starts another shelf on the
trainer's node where that is another one. So the bytes lie where the trainer is, outlive it, and never pass through the
store's own node. Only the newest version is kept.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import ray
from numpy.typing import NDArray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raysgpo.remote import Call, on_this_node
from raysgpo.weights.memory_file import TensorSpec, read_bytes
from raysgpo.weights.transport import NOTHING_PUBLISHED

CHUNK_BYTES = 512 * 2**20
"""Of weights that travel together; a larger tensor is a chunk by itself."""


class WeightsNotPublished(TimeoutError):
    """The version asked for was not published within the time allowed."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where a version lies."""

    node: str
    """Ray's id of the node."""
    path: str
    """Of the file, for the processes of that node."""
    inode: int
    """Of the file: a path may come to mean another one."""
    tensors: tuple[TensorSpec, ...]

    @property
    def num_bytes(self) -> int:
        return sum(spec.num_bytes for spec in self.tensors)


@dataclass(frozen=True, slots=True)
class Found:
    """What the store answers to whoever asks for weights."""

    version: int
    manifest: Manifest
    shelf: ShelfHandle
    """Whom to ask for chunks from another node."""


class ShelfHandle(Protocol):
    """The handle of a :class:`Shelf`."""

    @property
    def chunk(self) -> Call[[int, int, int], NDArray[np.uint8]]: ...


class StoreHandle(Protocol):
    """The handle of a :class:`WeightStore`."""

    @property
    def begin(self) -> Call[[int], bool]: ...

    @property
    def publish(self) -> Call[[int, Manifest], int]: ...

    @property
    def get(self) -> Call[[int, float], Found]: ...

    @property
    def done(self) -> Call[[int], None]: ...

    @property
    def chunk(self) -> Call[[int, int, int], NDArray[np.uint8]]: ...

    @property
    def latest(self) -> Call[[], int]: ...


class Shelf:
    """Holds the newest version's file open, on the node where it lies."""

    def __init__(self, run: str = "") -> None:
        """``run``: whose it is, for the Ray dashboard."""
        self._run = run
        self._version = NOTHING_PUBLISHED
        self._file: int | None = None

    def __repr__(self) -> str:
        return f"weight shelf of {self._run}"

    async def hold(self, version: int, path: str) -> str:
        """Keep the file of a version, whatever becomes of who wrote it; its path from now on."""
        self._release()
        self._file = os.open(path, os.O_RDONLY)
        self._version = version
        return f"/proc/{os.getpid()}/fd/{self._file}"

    async def chunk(self, version: int, offset: int, num_bytes: int) -> NDArray[np.uint8]:
        """Bytes of a version.

        Raises:
            WeightsNotPublished: another one lies here by now.
        """
        if version != self._version or self._file is None:
            raise WeightsNotPublished(f"the weights of version {version} are gone; the newest are {self._version}")
        return await asyncio.to_thread(read_bytes, self._file, offset, num_bytes)

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class WeightStore:
    """``begin`` and ``publish`` by the trainer, ``get`` and ``done`` by the replicas, ``latest`` by anyone."""

    def __init__(self, myself: ShelfHandle | None = None, run: str = "") -> None:
        """``myself``: this store's handle, where no actor has one to ask for; ``run``: whose it is, for the Ray
        dashboard."""
        self._myself = myself
        self._run = run
        self._here = Shelf()
        self._elsewhere: dict[str, Any] = {}
        self._version = NOTHING_PUBLISHED
        self._found: Found | None = None
        self._readers = 0
        self._published = asyncio.Condition()

    def __repr__(self) -> str:
        return f"weight store of {self._run}"

    async def begin(self, version: int) -> bool:
        """Version ``version`` is about to be written; may it be written over the newest one?

        From here on, until it is published, nobody gets any. False: somebody may still be reading the newest one.

        Raises:
            ValueError: ``version`` does not lie above every version published before.
        """
        self._check_above(version)
        free = self._readers == 0
        self._found, self._readers = None, 0
        return free

    async def publish(self, version: int, manifest: Manifest) -> int:
        """Make the weights of ``manifest`` the newest; returns their version.

        Raises:
            ValueError: ``version`` does not lie above every version published before.
        """
        self._check_above(version)
        shelf = self._shelf(manifest.node)
        if shelf is None:
            path = await self._here.hold(version, manifest.path)
        else:
            path = await shelf.hold.remote(version, manifest.path)
        async with self._published:
            held = replace(manifest, path=path)
            self._found = Found(version, held, shelf or self._own_handle())
            self._version = version
            self._published.notify_all()
        return version

    async def get(self, min_version: int, timeout: float) -> Found:
        """The newest weights, at least ``min_version``; say ``done`` once they are read.

        Raises:
            WeightsNotPublished: nothing that new was published within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout), self._published:
                await self._published.wait_for(lambda: self._found and self._version >= min_version)
                assert self._found is not None
                self._readers += 1
                return self._found
        except TimeoutError as error:
            raise WeightsNotPublished(
                f"weights of version {min_version} were not published within {timeout:g} s; "
                f"the newest are of version {self._version}"
            ) from error

    async def done(self, version: int) -> None:
        """Somebody has read the weights that ``get`` gave."""
        if version == self._version and self._found is not None:
            self._readers -= 1

    async def chunk(self, version: int, offset: int, num_bytes: int) -> NDArray[np.uint8]:
        """Of what lies on this store's own node; see :class:`Shelf`."""
        return await self._here.chunk(version, offset, num_bytes)

    async def latest(self) -> int:
        """The newest version; ``NOTHING_PUBLISHED`` before the first."""
        return self._version

    def _check_above(self, version: int) -> None:
        if version <= self._version:
            raise ValueError(
                f"version={version} was published after version {self._version}, but versions never go "
                "back: publish latest() + 1"
            )

    def _own_handle(self) -> ShelfHandle:
        return self._myself or ray.get_runtime_context().current_actor

    def _shelf(self, node: str) -> Any:
        """The shelf of another node than this one."""
        if node == this_node():
            return None
        if node not in self._elsewhere:
            pinned = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
            shelf = ray.remote(Shelf).options(num_cpus=0, scheduling_strategy=pinned, max_concurrency=1000)
            # The trainer is on one node, and its former one may be gone.
            self._elsewhere = {node: shelf.remote(self._run)}
        return self._elsewhere[node]


def this_node() -> str:
    """Ray's id of it; empty outside Ray."""
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def chunks(tensors: Sequence[TensorSpec], chunk_bytes: int = CHUNK_BYTES) -> Iterable[tuple[TensorSpec, ...]]:
    """Tensors that lie one behind another, cut into runs of at most ``chunk_bytes`` bytes, or of one tensor."""
    run: list[TensorSpec] = []
    for spec in tensors:
        if run and spec.offset + spec.num_bytes - run[0].offset > chunk_bytes:
            yield tuple(run)
            run = []
        run.append(spec)
    if run:
        yield tuple(run)


def start_weight_store(run: str = "") -> StoreHandle:
    """The store as an actor, dead when its last handle is gone. ``run``: whose it is, for the Ray dashboard.

    One that died otherwise is started again by Ray behind the same handle, and is empty.
    """
    # Pulls wait inside get(): far more of them than replicas must fit beside a publish.
    lasting = {"num_cpus": 0, "max_concurrency": 10_000, "max_restarts": -1}
    actor = ray.remote(WeightStore).options(**lasting, scheduling_strategy=on_this_node())
    store: StoreHandle = actor.remote(run=run)
    return store
