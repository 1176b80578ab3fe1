"""Asking for samples, with a deadline and bounded retries. No Ray: the sampler is a callable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest

Sampler = Callable[[SampleRequest], Awaitable[list[Completion]]]
"""One request to one replica: ``len(seeds_G)`` completions, or SamplingFailed."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before a request is sent again; each pause is twice the one before it."""


class SamplingFailed(Exception):
    """The sampler gave no answer. The request may be sent again."""


class ReplicasUnavailable(SamplingFailed):
    """No replica could take the request: dead, broken, or not there yet. It says nothing of the request itself."""


def _unheard(message: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class RetryingSampler:
    """Sends a request again, unchanged, until it is answered.

    A request that fails is sent ``rollout.attempts`` times; one that finds no replica waits for them as long
    as they may take to come up. The same seeds are asked for each time, so a group whose replica died comes
    out as the one that was lost, up to the weights that the other replica holds.
    """

    sampler: Sampler
    settings: RolloutConfig
    outage: Callable[[str], None] = _unheard
    """Told, each time, what is waited for while no replica answers."""

    async def __call__(self, request: SampleRequest) -> tuple[list[Completion], int]:
        """The completions, and how many attempts before this one failed.

        Raises:
            ReplicasUnavailable: none was there for ``rollout.start_deadline`` seconds in all.
            SamplingFailed: the last attempt failed too.
        """
        failed, unavailable, out = 0, 0, 0.0
        while True:
            begun = time.monotonic()
            try:
                return await self._once(request), failed + unavailable
            except ReplicasUnavailable as error:
                unavailable += 1
                pause = _pause(unavailable)
                out += time.monotonic() - begun + pause
                if out > self.settings.start_seconds:
                    raise
                self.outage(f"waiting for a rollout replica: {error}")
            except SamplingFailed:
                failed += 1
                pause = _pause(failed)
                if failed >= self.settings.attempts:
                    raise
            await asyncio.sleep(pause)

    async def _once(self, request: SampleRequest) -> list[Completion]:
        deadline = self.settings.sample_seconds
        try:
            return await asyncio.wait_for(self.sampler(request), deadline)
        except TimeoutError:
            raise SamplingFailed(f"no answer within rollout.sample_deadline={deadline:g} s") from None


def _pause(times: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** min(times - 1, 10), LONGEST_PAUSE)
