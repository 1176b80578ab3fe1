"""Many positions wait in few calls: whatever their number, the conductor has room for everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from raysgpo.conductor.admissions import Admissions
from raysgpo.conductor.messages import Admission
from raysgpo.records import Problem, Ticket

pytestmark = pytest.mark.ray

MANY = 10_000
BLOCK = 32


def ticket(position: int) -> Ticket:
    return Ticket(position, 0, 0, Problem(f"p{position}", "1+1=?", "2"), [1], (1,), 0, judge=False)


class Gate:
    """A conductor that admits what lies before its limit; counts the calls that wait."""

    def __init__(self) -> None:
        self.limit = 0
        self.waiting = self.most_waiting = self.calls = 0
        self.changed = asyncio.Condition()
        self.admit = self
        self.broken = False

    async def remote(self, positions: list[int], seen: int | None) -> Admission:
        self.calls += 1
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        async with self.changed:
            await self.changed.wait_for(
                lambda: self.broken or self.limit != seen or any(position < self.limit for position in positions)
            )
        self.waiting -= 1
        if self.broken:
            raise ConnectionError("the conductor is gone")
        return Admission({p: ticket(p) for p in positions if p < self.limit}, self.limit)

    async def open(self, limit: int) -> None:
        async with self.changed:
            self.limit = limit
            self.changed.notify_all()
        await asyncio.sleep(0)

    async def break_down(self) -> None:
        async with self.changed:
            self.broken = True
            self.changed.notify_all()


def played(scenario: Callable[[Gate, Admissions], Awaitable[None]]) -> Gate:
    async def run() -> Gate:
        gate = Gate()
        await scenario(gate, Admissions(cast(Any, gate)))
        return gate

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_ten_thousand_positions_wait_in_one_call() -> None:
    async def scenario(gate: Gate, admissions: Admissions) -> None:
        futures = []
        for start in range(0, MANY, BLOCK):
            futures += await admissions.tickets(list(range(start, min(start + BLOCK, MANY))))
        await asyncio.sleep(0.01)
        assert gate.waiting == 1 and not any(future.done() for future in futures)
        for limit in (1, 5_000, MANY):
            await gate.open(limit)
            admitted = await asyncio.gather(*futures[:limit])
            assert [one.position for one in admitted if one is not None] == list(range(limit))
            await asyncio.sleep(0.01)
            assert sum(future.done() for future in futures) == limit

    gate = played(scenario)
    assert gate.most_waiting <= 2, "one that waits, and one that asks for a new block"
    assert gate.calls < MANY / BLOCK + 10


def test_what_may_start_at_once_does_not_wait_behind_what_may_not() -> None:
    async def scenario(gate: Gate, admissions: Admissions) -> None:
        await gate.open(8)
        [late] = await admissions.tickets([100])
        await asyncio.sleep(0)
        [early] = await admissions.tickets([3])
        assert (await early) == ticket(3) and not late.done()

    played(scenario)


def test_a_position_that_comes_while_the_window_moves_is_not_forgotten() -> None:
    async def scenario(gate: Gate, admissions: Admissions) -> None:
        [first] = await admissions.tickets([10])
        await asyncio.sleep(0)
        for moved in range(1, 30):
            [late] = await admissions.tickets([moved + 20])
            await gate.open(moved)
            assert first.done() == (moved > 10) or not late.done()
        await gate.open(100)
        await asyncio.gather(first, late)

    played(scenario)


def test_a_conductor_that_is_gone_is_told_to_all_who_wait() -> None:
    async def scenario(gate: Gate, admissions: Admissions) -> None:
        futures = await admissions.tickets([1, 2, 3])
        await asyncio.sleep(0.01)
        await gate.break_down()
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert [str(one) for one in found] == ["the conductor is gone"] * 3

    played(scenario)
