"""The actor of the Ray Data stream: takes blocks of positions, gives their groups in rows.

Sampling, reward, judging and baseline share this one operator: measured on 2 cores, each further
operator costs a step of 32 groups a quarter to half a second, and nothing is gained, since a
group goes through its stages here as soon as it is sampled, while others still generate.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import ray

from raysgpo.conductor.group_maker import GroupMaker, write_groups
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.heartbeats import PERIOD
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.last_progress import LastProgress
from raysgpo.groups.pipeline import Pipeline
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.judging.address import JudgeAddress, build_judge
from raysgpo.judging.panel import Panel
from raysgpo.records import Group
from raysgpo.sandbox import check_sandbox
from raysgpo.serving.handle import RolloutService
from raysgpo.serving.sampler import serve_sampler
from raysgpo.tasks.grader import make_grader
from raysgpo.tasks.task import Task

Block = dict[str, np.ndarray]
GROUPS_PER_ROW = 8
"""A row costs three processes some milliseconds each. Fixed: a task that runs again must give the same rows."""


class GroupWorker:
    """Runs the pipeline of many positions at once on one event loop."""

    def __init__(
        self,
        config: ResolvedConfig,
        task: Task,
        conductor: ConductorHandle,
        rollout: RolloutService,
        judge: JudgeAddress | None,
        workers: int,
    ) -> None:
        """``workers``: number of these actors.

        Raises SandboxRefused on a node that lets no program be shut in.
        """
        if config.task.row.sandboxed:
            check_sandbox()
        self._conductor = conductor
        self._progress = LastProgress()
        told = self._progress.made
        pipeline = Pipeline(
            config=config,
            task=task,
            grader=make_grader(task, config, max(1, (os.cpu_count() or 1) // workers), told),
            panel=_panel(config, judge, workers, told),
            sample=RetryingSampler(serve_sampler(rollout), config.rollout, self._outage, told),
        )
        # With refilling, a block may hold groups of a step and such as wait for the end of that step.
        self._groups_per_row = 1 if config.algorithm.refill else GROUPS_PER_ROW
        self._maker = GroupMaker(conductor, pipeline, config.algorithm.refill)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="groups", daemon=True).start()
        context = ray.get_runtime_context()
        asyncio.run_coroutine_threadsafe(self._beat(context.get_actor_id(), context.current_actor), self._loop)

    async def _beat(self, name: str, myself: Any) -> None:
        """Ends with the conductor."""
        while True:
            await self._conductor.beat.remote(name, myself, self._progress.ago)
            await asyncio.sleep(PERIOD)

    def _outage(self, message: str) -> None:
        self._conductor.say.remote(message, "outage")

    def __call__(self, block: Block) -> Iterator[Block]:
        """Positions in, groups out in the same order: a re-run of the task must give the same rows."""
        positions = [int(position) for position in block["position"]]
        groups = asyncio.run_coroutine_threadsafe(self._maker.begin(positions), self._loop).result()
        for start in range(0, len(groups), self._groups_per_row):
            # Each wait inside has its own deadline.
            row = _finished(groups[start : start + self._groups_per_row])
            value = write_groups(asyncio.run_coroutine_threadsafe(row, self._loop).result())
            yield {"groups": np.array([value], dtype=object)}


async def _finished(tasks: list[asyncio.Task[Group | None]]) -> list[Group | None]:
    return list(await asyncio.gather(*tasks))


def _panel(
    config: ResolvedConfig, address: JudgeAddress | None, workers: int, told: Callable[[], None]
) -> Panel | None:
    judge = build_judge(config.judge, address) if config.needs_judge else None
    return Panel(judge, config.judge, workers, told) if judge is not None else None
