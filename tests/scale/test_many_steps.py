"""What the conductor keeps does not grow with the number of steps."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from raysgpo.conductor.conductor import Conductor
from raysgpo.conductor.evaluation import Evaluation
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.messages import Admission, TrainReport
from raysgpo.conductor.run_state import RunState
from raysgpo.groups.prepared import StartState
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import Logprobs
from raysgpo.records import Group
from tests.conductor.fakes import prepared_for, settings
from tests.conftest import build_group, build_rollout

pytestmark = [pytest.mark.scale, pytest.mark.timeout(3600)]

STEPS = 10_000
WARM = 1_000
"""Steps after which everything that is kept is there."""
EVERY = 10
"""Steps a checkpoint."""
P, G, TOKENS = 8, 4, 64
MOST_GROWTH = 16 * 2**20
"""Bytes, from step WARM to the last: less than 2 KB a step."""


class Synthetic:
    """A group source that makes the groups of a step when it is asked."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._made: dict[int, list[Group]] = {}

    async def start(self, conductor: ConductorHandle) -> None: ...

    async def admit(self, positions: list[int], seen: int | None) -> Admission:
        raise AssertionError("nobody samples")

    async def dropped(self, position: int) -> None: ...

    def beat(self, name: str, worker: Any, ago: float) -> None: ...

    async def groups(self, step: int) -> list[Group]:
        if step not in self._made:
            self._made[step] = [self._group(position) for position in range(step * P, (step + 1) * P)]
        return self._made[step]

    def _group(self, position: int) -> Group:
        ticket = self._state.tickets.ticket(position, self._state.versions.current)
        versions = ((self._state.versions.current, TOKENS),)
        rollouts = [
            build_rollout(
                tokens=TOKENS, weight_versions=versions, correct=g == 0, reward_parts={"correctness": float(g == 0)}
            )
            for g in range(G)
        ]
        return build_group(position, rollouts, problem=ticket.problem)

    @property
    def failure(self) -> BaseException | None:
        return None

    def forget_before(self, step: int) -> None:
        self._made = {made: groups for made, groups in self._made.items() if made >= step}

    def unscored(self, batch: int, rank: int, world: int) -> Share | None:
        return None

    def scored(self, batch: int, rank: int, world: int, logprobs: Logprobs) -> None: ...

    async def evaluate(self, min_version: int, last: bool) -> Evaluation:
        raise AssertionError("nobody evaluates")

    def close(self) -> None: ...


def resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def train(conductor: Conductor, seen: int, step: int) -> int:
    """One step as the trainer and the console have it; rows seen so far."""
    await conductor.step(step, 0, 1)
    version = conductor.next_version(step + 1)
    await conductor.published(version, step + 1, 1)
    now = time.time()
    report = TrainReport({"policy/loss": 0.5}, version, (now, now), (now, now), (now, now))
    decision = await conductor.trained(step, report)
    if decision.checkpoint:
        await conductor.checkpoint_state(step + 1)
        conductor.checkpointed(step + 1)
    return seen + len(conductor.status(seen).rows)


def test_the_conductor_s_memory_is_flat_over_ten_thousand_steps(
    tmp_path: Path, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(
        f"prompts_per_step={P}", f"sampling.group_size={G}", "task.prompts=64", "evaluation.every=0",
        f"checkpoint.every={EVERY}", f"steps={STEPS}", "algorithm=grpo",
    )  # fmt: skip
    run, measured = RunFolder(tmp_path), dict[int, int]()

    async def go() -> None:
        conductor = Conductor(prepared_for(config, STEPS), run, StartState(), Synthetic)
        await conductor.published(conductor.next_version(0), 0, 1)
        seen = 0
        for step in range(STEPS):
            seen = await train(conductor, seen, step)
            if (step + 1) % WARM == 0:
                measured[step + 1] = resident()
        conductor.close()

    asyncio.run(go())
    assert [row["step"] for row in read_rows(run.metrics)] == list(range(STEPS))
    with capsys.disabled():
        print("\nMiB by step:", {step: round(size / 2**20, 1) for step, size in measured.items()})
    assert measured[STEPS] - measured[WARM] < MOST_GROWTH, measured
