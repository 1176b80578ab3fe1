"""Weights for a replica: those that rank 0 broadcasts to it, and those that it pulls from the weight store."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raysgpo.weights.memory_file import MemoryFile, TensorSpec, description
from raysgpo.weights.store import CHUNK_BYTES, Found, StoreHandle, WeightsNotPublished, chunks, this_node
from raysgpo.weights.transport import Description, Replicas, Weights, WeightSender


class StoredWeights:
    """A version out of the store: mapped where it lies on this node, else fetched chunk by chunk."""

    def __init__(self, store: StoreHandle, found: Found, file: int | None, timeout: float) -> None:
        """``file``: of this process, the opened file, if it is of this node. ``timeout``: seconds for a chunk."""
        self._store = store
        self._found = found
        self._file = file
        self._timeout = timeout

    @property
    def version(self) -> int:
        return self._found.version

    async def pieces(self) -> AsyncGenerator[Description]:
        try:
            if self._file is not None:
                path = f"/proc/{os.getpid()}/fd/{self._file}"
                for run in chunks(self._found.manifest.tensors, CHUNK_BYTES):  # so that few are mapped at once
                    yield description(path, run)
            else:
                async for piece in self._fetched():
                    yield piece
        finally:
            if self._file is not None:
                os.close(self._file)
            await self._store.done.remote(self.version)

    async def spare(self) -> Weights | None:
        return None

    async def _fetched(self) -> AsyncGenerator[Description]:
        """The next chunk is on its way while the engine reads one."""
        found = self._found
        runs = list(chunks(found.manifest.tensors, CHUNK_BYTES))
        coming = self._chunk(runs[0])
        for run, following in zip(runs, [*runs[1:], None], strict=True):
            async with asyncio.timeout(self._timeout):
                data = await coming
            if following is not None:
                coming = self._chunk(following)
            file = await asyncio.to_thread(_written, data)
            with file:
                yield description(file.path, [spec.at(spec.offset - run[0].offset) for spec in run])

    def _chunk(self, run: Sequence[TensorSpec]) -> asyncio.Future[NDArray[np.uint8]]:
        start, end = run[0].offset, run[-1].offset + run[-1].num_bytes
        return asyncio.ensure_future(_awaited(self._found.shelf.chunk.remote(self.version, start, end - start)))


async def _awaited(pending: object) -> NDArray[np.uint8]:
    data: NDArray[np.uint8] = await pending  # type: ignore[misc]  # an object reference, or a coroutine of the tests
    return data


def _written(data: NDArray[np.uint8]) -> MemoryFile:
    """Gigabytes, so not on an event loop."""
    file = MemoryFile()
    file.write(np.ascontiguousarray(data), 0)
    return file


@dataclass(frozen=True, slots=True)
class BroadcastWeights:
    """A version that the engine receives in its group; if that fails, out of the store."""

    version: int
    transport: StoreTransport
    timeout: float

    async def pieces(self) -> AsyncGenerator[Description]:
        yield {"broadcast": True, "keep": self.transport.delta}

    async def spare(self) -> Weights | None:
        return await self.transport.receive(self.version, self.timeout)


@dataclass(frozen=True, slots=True)
class StoreTransport:
    """Whatever is published lies in the store; with a ``group``, it is broadcast beside. A :class:`WeightTransport`."""

    store: StoreHandle
    checksums: bool = True
    """Whether every tensor travels with its checksum, which the engine compares."""
    group: Literal["gloo", "nccl"] | None = None
    """What carries the broadcast; None: every replica pulls."""
    delta: bool = False
    """Whether only what has changed is broadcast; every rank of an engine then keeps a copy of the weights."""

    def sender(self, replicas: Replicas) -> WeightSender:
        from raysgpo.weights.sender import Sender  # torch, which a replica must not wait for

        return Sender(self.store, replicas, self.checksums, self.group, self.delta)

    async def receive(self, min_version: int, timeout: float) -> StoredWeights:
        until = time.monotonic() + timeout
        while True:
            found = await self.store.get.remote(min_version, max(0.0, until - time.monotonic()))
            if found.manifest.node != this_node():
                return StoredWeights(self.store, found, None, timeout)
            if (file := _opened(found)) is not None:
                return StoredWeights(self.store, found, file, timeout)
            if time.monotonic() > until:
                raise WeightsNotPublished(f"the weights of version {found.version} were replaced again and again")

    def broadcast(self, version: int, timeout: float) -> BroadcastWeights:
        return BroadcastWeights(version, self, timeout)


def _opened(found: Found) -> int | None:
    """None if by now the path is another file's: a newer version was published in between."""
    try:
        file = os.open(found.manifest.path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if os.fstat(file).st_ino != found.manifest.inode:
        os.close(file)
        return None
    return file
