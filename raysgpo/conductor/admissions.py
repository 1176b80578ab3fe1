"""A worker process's side of admission: many positions wait, one call does.

What the window lets start now is asked for at once; all that must wait is asked for together, in a call that the
conductor answers when its window has moved.
"""

from __future__ import annotations

import asyncio

from raysgpo.conductor.handle import ConductorHandle
from raysgpo.records import Ticket


class Admissions:
    """The positions of one process that wait. One event loop uses it."""

    def __init__(self, conductor: ConductorHandle) -> None:
        self._conductor = conductor
        self._waiting: dict[int, asyncio.Future[Ticket | None]] = {}
        self._following: asyncio.Task[None] | None = None

    async def tickets(self, positions: list[int]) -> list[asyncio.Future[Ticket | None]]:
        """The ticket of each position, once it may start; None where nothing is to be sampled."""
        loop = asyncio.get_running_loop()
        futures = [self._waiting.setdefault(position, loop.create_future()) for position in positions]
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())
        else:
            await self._ask(positions, None)  # those that wait for the window are told nothing of these
        return futures

    async def _follow(self) -> None:
        """Ask for all that wait until nothing does."""
        limit: int | None = None
        try:
            while self._waiting:
                limit = await self._ask(sorted(self._waiting), limit)
        except Exception as error:  # the conductor is gone: each of them is told
            for future in self._waiting.values():
                future.set_exception(error)
            self._waiting.clear()

    async def _ask(self, positions: list[int], seen: int | None) -> int:
        admission = await self._conductor.admit.remote(positions, seen)
        for position, ticket in admission.tickets.items():
            if (future := self._waiting.pop(position, None)) is not None:
                future.set_result(ticket)
        return admission.limit
