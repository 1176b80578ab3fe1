"""From positions of the stream to finished groups, many at once on one event loop. No Ray but for the handle."""

from __future__ import annotations

import asyncio
import pickle

from raysgpo.conductor.admissions import Admissions
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.groups.pipeline import Pipeline
from raysgpo.records import Group, Ticket


class GroupMaker:
    """Each position waits for its ticket, and its group then goes through the pipeline."""

    def __init__(self, conductor: ConductorHandle, pipeline: Pipeline, refill: bool) -> None:
        """``refill``: whether the place of a group that is dropped is taken by another."""
        self._conductor = conductor
        self._admissions = Admissions(conductor)
        self._pipeline = pipeline
        self._refill = refill

    async def begin(self, positions: list[int]) -> list[asyncio.Task[Group | None]]:
        """The groups of these positions, under way. None if the conductor has one already (the stream asks again)."""
        return [asyncio.create_task(self._group(ticket)) for ticket in await self._admissions.tickets(positions)]

    async def _group(self, admitted: asyncio.Future[Ticket | None]) -> Group | None:
        ticket = await admitted
        if ticket is None:
            return None
        group = await self._pipeline.run(ticket)
        if self._refill and group.dropped is not None:
            await self._conductor.dropped.remote(ticket.position)  # before it comes out: its place may be taken now
        return group


def write_groups(groups: list[Group | None]) -> bytes:
    """As a value of the stream."""
    return pickle.dumps(groups, protocol=5)


def read_groups(value: bytes) -> list[Group]:
    """Those of a row that the conductor had not yet."""
    groups = [group for group in pickle.loads(value) if group is not None]
    assert all(isinstance(group, Group) for group in groups), "the stream carries groups"
    return groups
