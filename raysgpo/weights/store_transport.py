"""Weights by way of the weight store: published into Ray's object store, pushed, and pulled on demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import ray

from raysgpo.remote import result
from raysgpo.weights.payload import WeightPayload, pack, payload_bytes
from raysgpo.weights.push import push_version
from raysgpo.weights.shared_file import BACKEND, WORKER_EXTENSION, SharedFile
from raysgpo.weights.store import StoreHandle
from raysgpo.weights.transport import Description, NamedTensors, PushReport, Replicas


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """A version out of the store; the engine reads it through a file of shared memory."""

    version: int
    payload: WeightPayload

    def offered(self) -> AbstractContextManager[Description]:
        return _shared(self.payload)


@contextmanager
def _shared(payload: WeightPayload) -> Iterator[Description]:
    with SharedFile(payload) as file:
        yield file.description


@dataclass(frozen=True, slots=True)
class StoreTransport:
    """Publish into the store, then push; whoever the push missed pulls. A :class:`WeightTransport`."""

    store: StoreHandle
    checksums: bool = True
    """Whether every tensor travels with its checksum, which the engine compares."""

    @property
    def backend(self) -> str:
        return BACKEND

    @property
    def worker_extension(self) -> str:
        return WORKER_EXTENSION

    def publish(self, replicas: Replicas, version: int, named_tensors: NamedTensors, deadline: float) -> PushReport:
        """A dead or hung replica costs no more than ``deadline`` and ``ANSWER_GRACE`` seconds."""
        started = time.monotonic()
        payload = pack(named_tensors, self.checksums)
        try:
            result(self.store.publish.remote(version, payload), deadline)
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
            raise RuntimeError(f"the weight store did not take version {version}: {error}") from error
        published = time.monotonic()
        landed, failures = push_version(replicas, version, deadline)
        return PushReport(
            version=version,
            landed=landed,
            failures=failures,
            publish_seconds=published - started,
            push_seconds=time.monotonic() - published,
            num_bytes=payload_bytes(payload),
        )

    async def receive(self, min_version: int, timeout: float) -> StoredWeights:
        version, [reference] = await self.store.get.remote(min_version, timeout)
        async with asyncio.timeout(timeout):
            return StoredWeights(version, await reference)
