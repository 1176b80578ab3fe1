"""How long one of many that wait for the same judge is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

MOST = 10
"""Times its deadline that anything is waited for, however many others are answered."""


class Patience:
    """A deadline that begins anew with every answer of the judge to anyone: who queues behind others, or is answered
    as slowly as they are, is not given up for it. One event loop uses it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._answered = clock()

    def answered(self) -> None:
        """The judge answered someone now."""
        self._answered = self._clock()

    async def ends(self, task: asyncio.Future[Any]) -> bool:
        """Whether it ended in time. One that does not is left as it is."""
        begun = self._clock()
        while not task.done():
            end = min(max(begun, self._answered) + self._seconds, begun + MOST * self._seconds)
            if (left := end - self._clock()) <= 0:
                return False
            # Not wait_for: a task that swallows its cancellation would be waited for without end.
            await asyncio.wait({task}, timeout=left)
        return True
