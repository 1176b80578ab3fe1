"""A replica reads the same bits from memory of its node, and chunk by chunk from another's."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch

from raysgpo.weights import store_transport
from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.memory_file import MemoryFile, read_bytes, read_shared
from raysgpo.weights.store import WeightsNotPublished
from raysgpo.weights.store_transport import StoredWeights, StoreTransport
from tests.serving.local_store import LocalStore, Remote
from tests.weights.publishing import written

pytestmark = pytest.mark.ray

TENSORS = {f"w{index}": torch.randn(7, 30 + index) for index in range(5)}


async def published(store: LocalStore, version: int = 0) -> None:
    file, manifest = written(TENSORS.items())
    with file:
        await store.inner.publish(version, manifest)


async def read(weights: StoredWeights) -> tuple[int, dict[str, str]]:
    """(number of pieces, checksum by name)."""
    pieces = 0
    found: dict[str, str] = {}
    async for piece in weights.pieces():
        pieces += 1
        found |= named_checksums((name, tensor.clone()) for name, tensor in read_shared(**piece))
    return pieces, found


def open_files() -> int:
    """Of weights, in this process."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found += "raysgpo-weights" in os.readlink(f"/proc/self/fd/{name}")
    return found


def test_weights_of_this_node_are_one_piece_and_leave_no_file_open() -> None:
    async def scenario() -> None:
        store = LocalStore()
        await published(store)
        before = open_files()
        weights = await StoreTransport(store).receive(0, 1)
        assert await read(weights) == (1, named_checksums(TENSORS.items()))
        assert open_files() == before
        assert await store.inner.begin(1), "nobody reads any more"

    asyncio.run(scenario())


@pytest.mark.parametrize(("chunk_bytes", "pieces"), [(1, 5), (2000, 3), (10**6, 1)])
def test_weights_of_another_node_come_in_chunks(chunk_bytes: int, pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_transport, "CHUNK_BYTES", chunk_bytes)

    async def scenario() -> None:
        store = LocalStore()
        await published(store)
        found = await store.inner.get(0, 1)
        elsewhere = replace(found, manifest=replace(found.manifest, node="elsewhere"))
        before = open_files()
        assert await read(StoredWeights(store, elsewhere, None, 5.0)) == (pieces, named_checksums(TENSORS.items()))
        assert open_files() == before

    asyncio.run(scenario())


def test_bytes_are_never_moved_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica answers its health checks, and a store its other pulls, while gigabytes are copied."""
    threads: dict[str, set[int]] = {}

    def noted(what: str, function: Any) -> Any:
        def noting(*arguments: Any) -> Any:
            threads.setdefault(what, set()).add(threading.get_ident())
            return function(*arguments)

        return noting

    async def scenario() -> None:
        store = LocalStore()
        await published(store)
        found = await store.inner.get(0, 1)
        elsewhere = replace(found, manifest=replace(found.manifest, node="elsewhere"))
        monkeypatch.setattr(MemoryFile, "write", noted("write", MemoryFile.write))
        monkeypatch.setattr("raysgpo.weights.store.read_bytes", noted("read", read_bytes))
        await read(StoredWeights(store, elsewhere, None, 5.0))
        assert threads.keys() == {"write", "read"}
        assert threading.get_ident() not in threads["write"] | threads["read"]

    asyncio.run(scenario())


def test_a_chunk_that_never_comes_ends_at_its_deadline() -> None:
    class Silent:
        @staticmethod
        async def _never(*_: Any) -> None:
            await asyncio.sleep(3600)

        chunk = Remote(_never)

    async def scenario() -> None:
        store = LocalStore()
        await published(store)
        found = replace(await store.inner.get(0, 1), shelf=Silent())  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            await read(StoredWeights(store, found, None, 0.1))

    asyncio.run(scenario())


def test_a_path_that_means_another_file_by_now_is_asked_for_again() -> None:
    class Stale(LocalStore):
        async def _get(self, min_version: int, timeout: float) -> Any:
            found = await super()._get(min_version, timeout)
            return found if self.pulls > 1 else replace(found, manifest=replace(found.manifest, inode=1))

    class AlwaysStale(LocalStore):
        async def _get(self, min_version: int, timeout: float) -> Any:
            found = await super()._get(min_version, timeout)
            return replace(found, manifest=replace(found.manifest, path="/proc/0/fd/0"))

    async def scenario() -> None:
        store = Stale()
        await published(store)
        assert (await read(await StoreTransport(store).receive(0, 1)))[0] == 1
        assert store.pulls == 2
        hopeless = AlwaysStale()
        await published(hopeless)
        with pytest.raises(WeightsNotPublished, match="replaced again and again"):
            await StoreTransport(hopeless).receive(0, 0.05)

    asyncio.run(scenario())


def test_a_broadcast_has_the_store_to_fall_back_to() -> None:
    async def scenario() -> None:
        store = LocalStore()
        await published(store, 4)
        weights = StoreTransport(store, group="gloo").broadcast(3, 1.0)
        assert [piece async for piece in weights.pieces()] == [{"broadcast": True, "keep": False}]
        spare = await weights.spare()
        assert spare is not None and spare.version == 4
        assert await spare.spare() is None

    asyncio.run(scenario())
