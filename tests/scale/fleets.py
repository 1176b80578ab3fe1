"""Rollout replicas of this process: the real ones, on the tests' engine, with weights of no bytes."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from raysgpo.config import RolloutConfig
from raysgpo.records import SampleRequest
from raysgpo.serving.replica import RolloutReplica
from raysgpo.weights.transport import Description
from tests.conductor.in_process import Fleet
from tests.serving.fake_engine import fake_engine


class NoBytes:
    """Weights of a version, without any tensor."""

    def __init__(self, version: int) -> None:
        self.version = version

    async def pieces(self) -> AsyncGenerator[Description]:
        for piece in list[Description]():
            yield piece

    async def spare(self) -> None:
        return None


class AtHand:
    """A transport that has whatever version is asked for."""

    async def receive(self, version: int, deadline: float) -> NoBytes:
        return NoBytes(version)


class Engine:
    """A replica that starts when it is first asked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._replica: RolloutReplica | None = None

    async def sample(self, request: SampleRequest, run_id: str) -> AsyncIterator[Any]:
        if self._replica is None:
            made = RolloutReplica.__new__(RolloutReplica)
            transport: Any = AtHand()
            await RolloutReplica.__init__(  # type: ignore[misc]
                made, "model", RolloutConfig(), transport, fake_engine, replica_id=self._name, end_process=os._exit
            )  # fmt: skip
            self._replica = self._replica or made
        async for said in self._replica.sample(request, run_id):
            yield said


def engines(count: int) -> Fleet:
    return Fleet([Engine(f"{index:04}") for index in range(count)])
