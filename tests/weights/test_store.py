"""The weight store: a counter that never goes back, and pulls that wait no longer than asked."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import numpy as np
import pytest
import torch

from raysgpo.weights.memory_file import TensorSpec
from raysgpo.weights.store import Found, Shelf, WeightsNotPublished, WeightStore, chunks
from raysgpo.weights.transport import NOTHING_PUBLISHED
from tests.serving.local_store import Remote
from tests.weights.publishing import written

pytestmark = pytest.mark.ray


class Myself:
    """A handle of no actor."""

    chunk = Remote(Shelf().chunk)


async def publish(store: WeightStore, version: int) -> int:
    file, manifest = written([("w", torch.full((3,), float(version)))])
    with file:
        return await store.publish(version, manifest)


def store_of(*versions: int) -> WeightStore:
    async def build() -> WeightStore:
        store = WeightStore(Myself())
        for version in versions:
            await publish(store, version)
        return store

    return asyncio.run(build())


def values(found: Found) -> list[float]:
    """What lies at the path that the store gave."""
    [spec] = found.manifest.tensors
    with open(found.manifest.path, "rb") as file:
        assert os.fstat(file.fileno()).st_ino == found.manifest.inode
        read: list[float] = np.frombuffer(file.read()[: spec.num_bytes], np.float32).tolist()
    return read


def test_the_newest_version_answers_every_lower_question_whoever_wrote_it_is_gone() -> None:
    store = store_of(0, 1, 5)
    for asked in (-1, 0, 3, 5):
        found = asyncio.run(store.get(asked, timeout=1))
        assert (found.version, values(found)) == (5, [5.0] * 3)


@pytest.mark.parametrize("version", [2, 1, 0, -1])
def test_a_version_never_goes_back(version: int) -> None:
    store = store_of(0, 2)
    with pytest.raises(ValueError, match="never go back"):
        asyncio.run(publish(store, version))
    with pytest.raises(ValueError, match="never go back"):
        asyncio.run(store.begin(version))
    assert asyncio.run(store.latest()) == 2
    assert values(asyncio.run(store.get(0, timeout=1))) == [2.0] * 3


def test_an_empty_store_answers_nobody_in_time() -> None:
    store = store_of()
    started = time.monotonic()
    with pytest.raises(WeightsNotPublished, match="newest are of version -1"):
        asyncio.run(store.get(NOTHING_PUBLISHED, timeout=0.1))
    assert 0.1 <= time.monotonic() - started < 20


def test_memory_is_written_over_only_when_every_reader_is_done() -> None:
    async def scenario() -> list[bool]:
        store = WeightStore(Myself())
        free = [await store.begin(0)]
        await publish(store, 0)
        await store.get(0, 1)
        await store.get(0, 1)
        await store.done(0)
        free.append(await store.begin(1))
        await publish(store, 1)
        await store.done(0)  # late, of other memory
        await store.get(1, 1)
        await store.done(1)
        return [*free, await store.begin(2)]

    assert asyncio.run(scenario()) == [True, False, True]


def test_nobody_gets_weights_that_are_being_written_over() -> None:
    async def scenario() -> int:
        store = WeightStore(Myself())
        await publish(store, 0)
        await store.begin(1)
        with pytest.raises(WeightsNotPublished):
            await store.get(0, 0.05)
        waiting = asyncio.create_task(store.get(0, 5))
        await asyncio.sleep(0.01)
        assert await store.latest() == 0
        await publish(store, 1)
        return (await waiting).version

    assert asyncio.run(scenario()) == 1


def test_pulls_wait_for_their_version_and_all_wake_at_it() -> None:
    async def scenario() -> list[Any]:
        store = WeightStore(Myself())
        answers: list[Any] = []

        async def pull(name: str, version: int) -> None:
            answers.append((name, (await store.get(version, timeout=5)).version))

        pulls = [asyncio.create_task(pull(*job)) for job in (("a", 1), ("b", 2), ("c", 2))]
        for version in (0, 1, 2):
            answers.append(f"publish {version}")
            await publish(store, version)
            await asyncio.sleep(0.01)
        await asyncio.gather(*pulls)
        return answers

    assert asyncio.run(scenario()) == [
        "publish 0",
        "publish 1",
        ("a", 1),
        "publish 2",
        ("b", 2),
        ("c", 2),
    ]


def test_a_shelf_gives_bytes_of_the_version_that_it_holds_and_of_no_other() -> None:
    async def scenario() -> None:
        shelf = Shelf()
        file, manifest = written([("w", torch.arange(4, dtype=torch.uint8)), ("v", torch.full((2,), 9.0))])
        with file:
            await shelf.hold(3, manifest.path)
        assert (await shelf.chunk(3, 1, 3)).tolist() == [1, 2, 3]
        with pytest.raises(WeightsNotPublished, match="version 2 are gone; the newest are 3"):
            await shelf.chunk(2, 0, 1)

    asyncio.run(scenario())


def test_chunks_are_runs_of_whole_tensors() -> None:
    sizes = [10, 10, 50, 5, 5, 5]
    specs, end = [], 0
    for index, size in enumerate(sizes):
        specs.append(TensorSpec(str(index), "uint8", (size,), end, size, None))
        end += size
    assert [[spec.num_bytes for spec in run] for run in chunks(specs, 20)] == [[10, 10], [50], [5, 5, 5]]
    assert list(chunks([], 20)) == []
