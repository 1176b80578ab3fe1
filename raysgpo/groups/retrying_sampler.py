"""Asking for samples, with a deadline and bounded retries. No Ray: the sampler is a callable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest

Sampler = Callable[[SampleRequest], Awaitable[list[Completion]]]
"""One request to one replica: ``len(seeds_G)`` completions, or SamplingFailed."""


class SamplingFailed(Exception):
    """The sampler gave no answer: a dead, broken or hung replica. The request may be sent again."""


@dataclass(frozen=True, slots=True)
class RetryingSampler:
    """Sends a request again, unchanged, until it is answered or ``rollout.attempts`` are used up.

    The same seeds are asked for each time, so a group whose replica died comes out as the one
    that was lost, up to the weights that the other replica holds.
    """

    sampler: Sampler
    settings: RolloutConfig

    async def __call__(self, request: SampleRequest) -> tuple[list[Completion], int]:
        """The completions, and how many attempts before this one failed.

        Raises:
            SamplingFailed: the last attempt failed too.
        """
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            wait=wait_exponential(multiplier=0.5, max=30.0),
            retry=retry_if_exception_type(SamplingFailed),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                completions_G = await self._once(request)
        return completions_G, attempt.retry_state.attempt_number - 1

    async def _once(self, request: SampleRequest) -> list[Completion]:
        deadline = self.settings.sample_deadline
        try:
            return await asyncio.wait_for(self.sampler(request), deadline)
        except TimeoutError:
            raise SamplingFailed(f"no answer within rollout.sample_deadline={deadline:g} s") from None
