"""The weight store: a counter that never goes back, and pulls that wait no longer than asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from raysgpo.weights.store import NOTHING_PUBLISHED, WeightsNotPublished, WeightStore

pytestmark = pytest.mark.ray


def store_of(*versions: int) -> WeightStore:
    """A store without an object store: references are the payloads themselves."""

    async def build() -> WeightStore:
        store = WeightStore(put=lambda payload: payload)
        for version in versions:
            await store.publish(version, f"weights {version}")  # type: ignore[arg-type]
        return store

    return asyncio.run(build())


def test_the_newest_version_answers_every_lower_question() -> None:
    store = store_of(0, 1, 5)
    for asked in (-1, 0, 3, 5):
        assert asyncio.run(store.get(asked, timeout=1)) == (5, ["weights 5"])


@pytest.mark.parametrize("version", [2, 1, 0, -1])
def test_a_version_never_goes_back(version: int) -> None:
    store = store_of(0, 2)
    with pytest.raises(ValueError, match="never go back"):
        asyncio.run(store.publish(version, ()))
    assert asyncio.run(store.latest()) == 2
    assert asyncio.run(store.get(0, timeout=1)) == (2, ["weights 2"])


def test_an_empty_store_answers_nobody_in_time() -> None:
    store = store_of()
    started = time.monotonic()
    with pytest.raises(WeightsNotPublished, match="newest are of version -1"):
        asyncio.run(store.get(NOTHING_PUBLISHED, timeout=0.1))
    assert 0.1 <= time.monotonic() - started < 20


def test_pulls_wait_for_their_version_and_all_wake_at_it() -> None:
    async def scenario() -> list[Any]:
        store = WeightStore(put=lambda payload: payload)
        answers: list[Any] = []

        async def pull(name: str, version: int) -> None:
            found, _ = await store.get(version, timeout=5)
            answers.append((name, found))

        pulls = [asyncio.create_task(pull(*job)) for job in (("a", 1), ("b", 2), ("c", 2))]
        for version in (0, 1, 2):
            answers.append(f"publish {version}")
            await store.publish(version, ())
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
