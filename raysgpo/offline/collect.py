"""Sampling and judging a file of groups, many at once; what is there already is not done again.

The sampler comes in as a callable. Each group is written down as soon as it is finished, so that a run that was
stopped goes on with the others; the file itself appears when it is complete.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.judge_budget import JudgeBudget
from raysgpo.groups.order import Order, rollout_seeds
from raysgpo.groups.pipeline import Pipeline, compared
from raysgpo.groups.prepared import Prepared
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.judging.panel import Panel
from raysgpo.output.group_json import group_from_row, group_row
from raysgpo.output.json_lines import JsonLines, copy_lines, placed_rows, read_rows, replace_rows
from raysgpo.records import Group, Ticket
from raysgpo.tasks.grader import make_grader
from raysgpo.tasks.task import Task

ROLLOUTS_IN_FLIGHT = 512
"""Responses that one replica samples at one time: enough to fill its batches."""
STARTING_WEIGHTS = -1
"""The version of the weights that a replica was started with."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told, and who says when to stop."""

    say: Callable[[str], None]
    stopped: Callable[[], bool]
    """Asked before each group: True, and none is begun any more."""


async def sample(prepared: Prepared, sampler: RetryingSampler, path: Path, watch: Watch) -> None:
    """Sample and grade ``offline.passes`` over the training prompts. ``path`` is there once all groups are."""
    config = prepared.config
    grader = make_grader(prepared.task, config)
    pipeline = Pipeline(config, prepared.task, grader, None, sampler)
    count = math.ceil(config.offline.passes * len(prepared.train))
    in_flight = max(1, ROLLOUTS_IN_FLIGHT * config.rollout.replicas[1] // config.sampling.group_size)
    order = Order(len(prepared.train), config.seed)
    try:
        await _fill(
            path, range(count), lambda at: pipeline.run(ticket(prepared, order, at)), in_flight, "sampled", watch
        )
    finally:
        grader.close()


def ticket(prepared: Prepared, order: Order, position: int) -> Ticket:
    """As the stream of an online run has it, for the starting weights."""
    config = prepared.config
    epoch, index = order.at(position)
    prompt = prepared.train[index]
    seeds_G = rollout_seeds(config.seed, epoch, prompt.problem.id, config.sampling.group_size)
    step = position // config.prompts_per_step
    return Ticket(position, step, epoch, prompt.problem, prompt.token_ids, seeds_G, STARTING_WEIGHTS, judge=False)


async def judge(
    groups: Sequence[Group], config: ResolvedConfig, task: Task, panel: Panel | None, path: Path, watch: Watch
) -> None:
    """Judge the groups once, and say what each response is worth. ``path`` is there once all groups are.

    ``judge.max_calls`` and ``judge.max_run_tokens`` hold; judged epochs and steps are of online runs.
    """
    whole = config.model_copy(update={"judge": config.judge.model_copy(update={"epochs": 1, "steps": None})})
    judge_budget = JudgeBudget(whole, len(groups))
    place = {group.position: index for index, group in enumerate(groups)}

    async def one(position: int) -> Group:
        index = place[position]
        group = replace(groups[index], judge=panel is not None and judge_budget.grant(index, step=0))
        finished = await compared(group, config, task, panel)
        judge_budget.settle(replace(finished, position=index))
        return finished

    calls = config.judge.votes * max(len(group.rollouts_G) for group in groups)
    await _fill(path, list(place), one, max(1, config.judge.concurrency // calls), "judged", watch)
    if judge_budget.exhausted is not None:
        watch.say(f"the judge's budget is spent ({judge_budget.exhausted}): the groups that are left carry no signal")


def write_groups(groups: Iterable[Group], path: Path) -> None:
    replace_rows(path, (group_row(group, tokens=True) for group in groups))


def stored_groups(path: Path) -> list[Group]:
    return [group_from_row(row) for row in read_rows(path)]


async def _fill(
    path: Path,
    positions: Sequence[int],
    work: Callable[[int], Awaitable[Group]],
    in_flight: int,
    done: str,
    watch: Watch,
) -> None:
    """A line for each position, in their order, and a word at every tenth of them.

    What is finished stands in a file beside ``path`` until nothing is missing.
    """
    partial = path.with_suffix(".partial")
    file = JsonLines(partial)
    places = {row["position"]: (start, size) for start, size, row in placed_rows(partial)}

    def write(group: Group) -> None:
        before, start = len(places), file.size
        file.write(group_row(group, tokens=True))
        places[group.position] = (start, file.size - start)
        if 10 * len(places) // len(positions) > 10 * before // len(positions):
            watch.say(f"{done} {len(places):,} of {len(positions):,} groups")

    try:
        missing = [position for position in positions if position not in places]
        await _work_off(missing, work, write, in_flight, watch.stopped)
    finally:
        file.close()
    if len(places) == len(positions):
        copy_lines(partial, [places[position] for position in sorted(places)], path)
        partial.unlink()


async def _work_off(
    positions: Sequence[int],
    work: Callable[[int], Awaitable[Group]],
    finish: Callable[[Group], None],
    in_flight: int,
    stopped: Callable[[], bool],
) -> None:
    rest = iter(positions)

    async def worker() -> None:
        for position in rest:
            if stopped():
                return
            finish(await work(position))

    await asyncio.gather(*(worker() for _ in range(min(in_flight, len(positions)))))
