"""Groups that are all there before the run: those of ``judged.jsonl``, shuffled anew each epoch."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from raysgpo.conductor.evaluation import Evaluation
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.messages import Admission
from raysgpo.conductor.run_state import RunState
from raysgpo.groups.order import Order
from raysgpo.output.group_json import group_from_row, group_row
from raysgpo.output.json_lines import read_rows, replace_rows
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import Logprobs, update_shares, with_logprobs
from raysgpo.records import Group


class RecordedSource:
    """A :class:`raysgpo.conductor.source.GroupSource` for which nothing is sampled.

    Groups without logprobs first get those of the starting policy, P at a time.
    """

    def __init__(self, state: RunState, *, file: Path) -> None:
        self._state = state
        self._file = file
        self._recorded = {group.position: group for group in map(group_from_row, read_rows(file))}
        self._trained_on = trainable(list(self._recorded.values()))
        self._order = Order(len(self._trained_on), state.config.seed)
        self._logprobs: dict[tuple[int, int], Logprobs] = {}
        self._all_scored = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        unscored = [group for group in self._trained_on if not has_logprobs(group)]
        size = state.config.prompts_per_step
        self._unscored = [unscored[first : first + size] for first in range(0, len(unscored), size)]
        if not unscored:
            self._all_scored.set()

    async def start(self, conductor: ConductorHandle) -> None:
        """There is nothing to begin."""

    async def admit(self, positions: list[int], seen: int | None) -> Admission:
        """The group of every position is here already."""
        return Admission(dict.fromkeys(positions), limit=0)

    async def dropped(self, position: int) -> None:
        raise AssertionError("a recorded group that is dropped is not trained on in the first place")

    def beat(self, name: str, worker: Any, ago: float) -> None:
        raise AssertionError("nobody makes groups")

    async def groups(self, step: int) -> list[Group]:
        """Raises WriteFailed if there was no room for the logprobs in the file."""
        await self._all_scored.wait()
        if self._writing is not None:
            await self._writing
        return [self._at(position, step) for position in self._state.window.positions(step)]

    def _at(self, position: int, step: int) -> Group:
        """What its judge cost was paid before the first step, and not again in each epoch."""
        epoch, index = self._order.at(position)
        return replace(self._trained_on[index], position=position, step=step, epoch=epoch, judge=False, counts={})

    @property
    def failure(self) -> BaseException | None:
        return None

    def forget_before(self, step: int) -> None:
        """The next epoch wants them again."""

    def unscored(self, batch: int, rank: int, world: int) -> Share | None:
        if batch >= len(self._unscored):
            return None
        return update_shares(batch, self._unscored[batch], self._state.config, world)[rank]

    def scored(self, batch: int, rank: int, world: int, logprobs: Logprobs) -> None:
        """With the last of all they are written down, and training may begin."""
        self._logprobs[batch, rank] = logprobs
        if len(self._logprobs) < len(self._unscored) * world:
            return
        for index, groups in enumerate(self._unscored):
            ranks = [self._logprobs[index, rank] for rank in range(world)]
            self._recorded |= {g.position: g for g in with_logprobs(groups, self._state.config, ranks)}
        self._logprobs.clear()
        self._unscored.clear()
        self._trained_on = trainable(list(self._recorded.values()))
        # However long the file, this call is over: the trainer waits in `groups`, where it has no deadline.
        rows = (group_row(group, tokens=True) for group in self._recorded.values())
        self._writing = asyncio.create_task(asyncio.to_thread(replace_rows, self._file, rows))
        self._all_scored.set()

    async def evaluate(self, min_version: int, last: bool) -> Evaluation:
        raise AssertionError("an offline run evaluates before and after its training, when replicas run")

    def close(self) -> None:
        """There is nothing to end."""


def trainable(groups: list[Group]) -> list[Group]:
    """Those that carry a gradient."""
    return [group for group in groups if group.dropped is None]


def has_logprobs(group: Group) -> bool:
    return all(rollout.has_logprobs for rollout in group.rollouts_G)
