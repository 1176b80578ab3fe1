"""The actor of the stream, in this process: blocks of positions in, rows of groups out, in order of position."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from raysgpo.conductor import group_worker as group_worker_file
from raysgpo.conductor.group_maker import read_groups, write_groups
from raysgpo.conductor.group_worker import GroupWorker
from raysgpo.conductor.messages import Admission
from raysgpo.groups.prepared import StartState
from raysgpo.groups.tickets import Tickets
from raysgpo.groups.window import Window
from raysgpo.records import Group
from raysgpo.serving.handle import RolloutService
from tests.conductor.fakes import prepared_for, settings
from tests.conductor.in_process import Fleet, Instant, LocalHandle
from tests.conftest import build_group, build_rollout

pytestmark = pytest.mark.ray

HERE = 2
"""The position whose group the conductor has already."""


class Gate:
    """The conductor's part that a group worker asks: the window opens a position with each question."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets
        self._limit = 0
        self.dropped_ones: list[int] = []

    async def admit(self, positions: list[int], seen: int | None) -> Admission:
        self._limit += 1
        return Admission({p: self._ticket(p) for p in positions if p < self._limit}, self._limit)

    def _ticket(self, position: int) -> Any:
        return None if position == HERE else self._tickets.ticket(position, 1)

    async def dropped(self, position: int) -> None:
        self.dropped_ones.append(position)

    def beat(self, name: str, worker: Any, ago: float) -> None: ...


Rows = list[list[Group | None]]


def made(monkeypatch: pytest.MonkeyPatch, *words: str, positions: int) -> tuple[Rows, Gate]:
    """The rows of a block, and the gate that was asked."""
    context = SimpleNamespace(get_actor_id=lambda: "w", current_actor=None)
    monkeypatch.setattr(group_worker_file.ray, "get_runtime_context", lambda: context)
    config = settings("algorithm=grpo", "prompts_per_step=4", "task.prompts=20", *words)
    prepared = prepared_for(config, 3)
    gate = Gate(Tickets(prepared, StartState(), Window(4, 0)))
    handle: Any = LocalHandle(gate)
    fleet: Any = Fleet([Instant(8, easy=True)])
    worker = GroupWorker(prepared.config, prepared.task, handle, RolloutService(fleet, ""), None, 1)
    blocks = worker({"position": np.arange(positions)})
    return [pickle.loads(value) for block in blocks for value in block["groups"]], gate


def places(row: list[Group | None]) -> list[int | None]:
    return [None if group is None else group.position for group in row]


def test_groups_come_out_in_order_in_rows_of_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, gate = made(monkeypatch, positions=11)
    assert list(map(places, rows)) == [[0, 1, None, 3, 4, 5, 6, 7], [8, 9, 10]] and gate.dropped_ones == []
    groups = [group for row in rows for group in row if group is not None]
    assert all(len(group.rollouts_G) == 2 and group.rollouts_G[0].correct for group in groups)


def test_with_refilling_no_group_waits_for_another_and_the_drops_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, gate = made(monkeypatch, "algorithm.refill=true", positions=6)
    assert list(map(places, rows)) == [[0], [1], [None], [3], [4], [5]]
    groups = [group for row in rows for group in row if group is not None]
    assert [group.position for group in groups if group.dropped is not None] == sorted(gate.dropped_ones)


def test_a_group_is_itself_again_after_the_stream() -> None:
    group = build_group(3, [build_rollout("a\n#### 2", votes=(1, None)), build_rollout(tokens=5)], counts={"x": 1.0})
    [again] = read_groups(write_groups([None, group]))
    assert again.problem == group.problem
    for before, after in zip(group.rollouts_G, again.rollouts_G, strict=True):
        assert (before.text, before.reward_parts, before.votes) == (after.text, after.reward_parts, after.votes)
        for one, other in zip(before.segments, after.segments, strict=True):
            assert one.role is other.role
            for name in ("token_ids_T", "loss_weight_T", "logprobs_T"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
