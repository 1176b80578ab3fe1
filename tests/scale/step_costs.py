"""What the steps of a run cost: CPU time of the one process that all of it lives in."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from raysgpo.output.json_lines import read_rows
from tests.conductor.fakes import settings
from tests.conductor.in_process import Fleet, Instant, LocalRun

CHECKPOINT = 10
"""Steps from one to the next: what a step leaves behind goes with it."""


@dataclass
class StepCosts:
    """Of each step, seconds of CPU; and of the process, bytes after each tenth of the steps."""

    made: list[float] = field(default_factory=list)
    """Group workers and replicas."""
    handed_out: list[float] = field(default_factory=list)
    """From the bytes of the stream to the trainer's share."""
    recorded: list[float] = field(default_factory=list)
    """Versions, records, metrics, the window, the tickets of the next step, and checkpoints where they are due."""
    resident: list[int] = field(default_factory=list)

    @property
    def conductor(self) -> list[float]:
        return [out + recorded for out, recorded in zip(self.handed_out, self.recorded, strict=True)]

    @property
    def rise(self) -> float:
        """The conductor's median step in the run's last tenth over that in the second: in the first it warms up."""
        tenth = max(1, len(self.made) // 10)
        return middle(self.conductor[-tenth:]) / middle(self.conductor[tenth : 2 * tenth])

    @property
    def growth(self) -> int:
        """Bytes, from the end of the first fifth to the end."""
        return self.resident[-1] - self.resident[1]


def middle(seconds: Sequence[float]) -> float:
    return median(seconds)


def step_costs(
    steps: int,
    *words: str,
    groups: int,
    size: int = 2,
    tokens: int = 8,
    fleet: Callable[[], Any] | None = None,
    apart: bool = True,
) -> StepCosts:
    """A run of ``steps`` steps of ``groups`` groups of ``size`` answers of ``tokens`` tokens; its records are whole.

    ``fleet``: made in the event loop; None for one replica that answers at once. Without ``apart`` what workers and
    replicas cost is in the conductor's figures: where groups are dropped, how many a step takes is not known before.
    """
    config = settings(
        f"prompts_per_step={groups}", f"sampling.group_size={size}", f"sampling.max_tokens={max(tokens, 16)}",
        "task.prompts=1024", "evaluation.every=0", f"checkpoint.every={CHECKPOINT}", f"steps={steps}", "algorithm=grpo",
        *words,
    )  # fmt: skip
    costs = StepCosts()

    async def go(folder: Path) -> None:
        run = LocalRun(config, steps, folder, fleet() if fleet else Fleet([Instant(tokens)]), direct=not apart)
        await run.start()
        for step in range(steps):
            await _measure(run, step, groups if apart else 0, costs)
            if (step + 1) % max(1, steps // 10) == 0:
                gc.collect()
                costs.resident.append(int(psutil.Process().memory_info().rss))
        run.close()
        assert [row["step"] for row in read_rows(run.run.metrics)] == list(range(steps))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(go(Path(folder)))
    return costs


async def _measure(run: LocalRun, step: int, groups: int, costs: StepCosts) -> None:
    marks = [time.process_time()]
    if groups:
        await run.source.made((step + 1) * groups)
    marks.append(time.process_time())
    await run.source.deliver()
    await run.shares(step)
    marks.append(time.process_time())
    await run.finish(step)
    marks.append(time.process_time())
    for of, (begin, end) in zip((costs.made, costs.handed_out, costs.recorded), pairwise(marks), strict=True):
        of.append(end - begin)
