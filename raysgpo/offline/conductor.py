"""The conductor of a run whose groups are all there: the steps, the records and the checkpoints, without a stream."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from raysgpo.conductor.conductor import Conductor
from raysgpo.groups.order import Order
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.output.group_json import group_from_row, group_row
from raysgpo.output.run_folder import RunFolder, read_rows, replace_rows
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import Logprobs, step_shares, with_logprobs
from raysgpo.records import Group


class RecordedConductor(Conductor):
    """Hands out the groups of ``judged.jsonl``, shuffled anew each epoch; no replica samples or evaluates.

    Groups without logprobs first get those of the starting policy, P at a time: the trainer asks for them with
    ``to_score`` and says them to ``scored``.
    """

    def __init__(self, prepared: Prepared, run: RunFolder, start: StartState) -> None:
        super().__init__(prepared, run, None, start)
        self._file = run.judged
        self._recorded = {group.position: group for group in map(group_from_row, read_rows(run.judged))}
        self._trained_on = trainable(list(self._recorded.values()))
        self._order = Order(len(self._trained_on), self._config.seed)
        self._logprobs: dict[tuple[int, int], Logprobs] = {}
        self._scored = asyncio.Event()
        unscored = [group for group in self._trained_on if not has_logprobs(group)]
        size = self._config.prompts_per_step
        self._to_score = [unscored[first : first + size] for first in range(0, len(unscored), size)]
        if not unscored:
            self._scored.set()

    async def start(self, myself: Any) -> None:
        """Nothing streams, and no replica has to come up."""
        self.replicas_are_up()

    async def _groups(self, step: int) -> list[Group]:
        await self._scored.wait()
        return [self._at(position, step) for position in self._window.positions(step)]

    def _at(self, position: int, step: int) -> Group:
        epoch, index = self._order.at(position)
        return replace(self._trained_on[index], position=position, step=step, epoch=epoch)

    def to_score(self, batch: int, rank: int, world: int) -> Share | None:
        """The share of a rank in a batch of groups without logprobs; None past the last."""
        if batch >= len(self._to_score):
            return None
        return step_shares(batch, self._to_score[batch], self._config, world)[rank]

    def scored(self, batch: int, rank: int, world: int, logprobs: Logprobs) -> None:
        """The logprobs of that share. With the last of all, they are written down and training may begin."""
        self._logprobs[batch, rank] = logprobs
        if len(self._logprobs) < len(self._to_score) * world:
            return
        for index, groups in enumerate(self._to_score):
            ranks = [self._logprobs[index, rank] for rank in range(world)]
            self._recorded |= {g.position: g for g in with_logprobs(groups, self._config, ranks)}
        self._logprobs.clear()
        self._trained_on = trainable(list(self._recorded.values()))
        replace_rows(self._file, (group_row(group, tokens=True) for group in self._recorded.values()))
        self._scored.set()


def trainable(groups: list[Group]) -> list[Group]:
    """Those that carry a gradient."""
    return [group for group in groups if group.dropped is None]


def has_logprobs(group: Group) -> bool:
    return all(rollout.has_logprobs for rollout in group.rollouts_G)
