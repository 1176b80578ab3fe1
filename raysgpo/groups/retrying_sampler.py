"""Asking for samples for as long as tokens come, with bounded retries. No Ray: the sampler is a callable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from raysgpo.config import RolloutConfig
from raysgpo.records import Beat, Completion, SampleRequest

Answer = AsyncGenerator[Beat | list[Completion], None]
"""Beats for as long as the completions are not there, then ``len(seeds_G)`` of them."""
Sampler = Callable[[SampleRequest], Answer]
"""One request to one replica: its answer, or SamplingFailed."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before a request is sent again; each pause is twice the one before it."""
MOST_DEATHS = 10
"""Replicas that may die in the middle of a request before it is taken for the cause."""


class SamplingFailed(Exception):
    """The sampler gave no answer. The request may be sent again."""


class ReplicasUnavailable(SamplingFailed):
    """No replica could take the request: dead, broken, or not there yet. It says nothing of the request itself."""


def _unheard(*message: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class RetryingSampler:
    """Sends a request again, unchanged, until it is answered.

    A request that fails is sent ``rollout.attempts`` times; one that finds no replica waits for them as long
    as they may take to come up, from when it last got on. The same seeds are asked for each time, so a group
    whose replica died comes out as the one that was lost, up to the weights that the other replica holds.
    """

    sampler: Sampler
    settings: RolloutConfig
    outage: Callable[[str], None] = _unheard
    """Told, each time, what is waited for while no replica answers."""
    progressed: Callable[[], None] = _unheard
    """Told whenever a request got on."""

    async def __call__(self, request: SampleRequest) -> tuple[list[Completion], int]:
        """The completions, and how many attempts before this one failed.

        Raises:
            ReplicasUnavailable: none was there for ``rollout.start_deadline`` seconds, or too many died of it.
            SamplingFailed: the last attempt failed too.
        """
        failed, unavailable, deaths = 0, 0, 0
        since = time.monotonic()

        def got_on() -> None:
            nonlocal since
            since = time.monotonic()
            self.progressed()

        while True:
            begun = time.monotonic()
            try:
                return await self._once(request, got_on), failed + unavailable
            except ReplicasUnavailable as error:
                unavailable += 1
                deaths += since > begun
                if time.monotonic() - since > self.settings.start_seconds or deaths > MOST_DEATHS:
                    raise
                pause = _pause(unavailable)
                self.outage(f"waiting for a rollout replica: {error}")
            except SamplingFailed:
                failed += 1
                if failed >= self.settings.attempts:
                    raise
                since, pause = time.monotonic(), _pause(failed)
            await asyncio.sleep(pause)

    async def _once(self, request: SampleRequest, got_on: Callable[[], None]) -> list[Completion]:
        """The deadline begins anew with every beat that tells of tokens.

        A request that is lost within its replica is waited for while others have tokens there: the window lets only
        so many of them start before it.
        """
        seconds, clock = self.settings.token_seconds, asyncio.get_running_loop().time
        heard: Beat | None = None
        try:
            async with asyncio.timeout(seconds) as deadline, aclosing(self.sampler(request)) as answer:
                async for said in answer:
                    if isinstance(said, list):
                        got_on()
                        return said
                    if heard is None or said.updating or said.tokens > heard.tokens:
                        got_on()
                        deadline.reschedule(clock() + seconds)
                    heard = said
        except TimeoutError:
            within = f"within rollout.token_deadline={seconds:g} s"
            if heard is None:
                raise ReplicasUnavailable(f"no replica took the request {within}") from None
            raise SamplingFailed(f"no token {within}") from None
        raise SamplingFailed("the replica ended the request without an answer")


def _pause(times: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** min(times - 1, 10), LONGEST_PAUSE)
