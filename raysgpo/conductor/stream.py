"""One Ray Data stream for the whole run: positions go in, groups come out."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext, Dataset

from raysgpo.conductor.group_maker import read_groups
from raysgpo.conductor.group_worker import GroupWorker
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.heartbeats import PATIENCE as WORKER_PATIENCE
from raysgpo.config import Config
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.retrying_sampler import LONGEST_PAUSE
from raysgpo.judging.address import JudgeAddress
from raysgpo.planning.demand import WORKER_CPUS, worker_count
from raysgpo.records import Group
from raysgpo.serving.handle import RolloutService
from raysgpo.tasks.grader_pool import PATIENCE as GRADING_PATIENCE
from raysgpo.tasks.task import Task

POSITIONS_PER_BLOCK = 32
"""Tickets of one stream task: a task costs some 75 ms, so not one each."""
POSITIONS_PER_SEGMENT = 65_536
"""Positions of one Ray Data stream, whose blocks are made at its start."""


def build_dataset(
    config: ResolvedConfig,
    task: Task,
    conductor: ConductorHandle,
    rollout: RolloutService,
    judge: JudgeAddress | None,
    first: int,
    end: int,
    name: str,
) -> Dataset:
    """The stream of the positions ``first`` to ``end - 1``. ``name``: of the run, for the Ray dashboard.

    Exactly the tasks that the window can admit are in flight, in order, and a worker runs all it holds
    at once: so the lowest unfinished position always runs, and no task waits for the window while
    another of its step works. (Ray Data waits up to 0.1 s for every task in flight before it looks
    at those that have something: a task that waits for the window costs every step that time. With
    refilling that price is paid, since how many positions a step takes is not known before.)
    """
    _configure(DataContext.get_current())
    blocks = [pa.table({"position": block}) for block in position_blocks(first, end, config.prompts_per_step)]
    workers = worker_count(config, ray.cluster_resources().get("CPU", 0.0))
    window = (config.max_staleness + 1) * blocks_per_step(config.prompts_per_step) * config.refill_limit
    unaligned = config.refill_limit > 1  # a refilled step may begin and end within a block
    tasks = math.ceil((window + unaligned) / workers)
    dataset = ray.data.from_blocks(blocks).map_batches(
        GroupWorker,
        fn_constructor_args=(config, task, conductor, rollout, judge, workers),
        batch_size=None,
        num_cpus=WORKER_CPUS,
        label_selector=config.cluster.group_worker_selector or {},
        compute=ActorPoolStrategy(
            size=workers, max_tasks_in_flight_per_actor=tasks, max_concurrent_calls_per_actor=tasks
        ),
    )
    dataset.set_name(f"{name}-groups")
    return dataset


def position_blocks(first: int, end: int, prompts_per_step: int) -> list[list[int]]:
    """The positions of whole steps, in blocks of nearly equal size that never cross a step."""
    parts = blocks_per_step(prompts_per_step)
    starts = range(first, end, prompts_per_step)
    return [
        block.tolist()
        for start in starts
        for block in np.array_split(np.arange(start, start + prompts_per_step), parts)
    ]


def blocks_per_step(prompts_per_step: int) -> int:
    return math.ceil(prompts_per_step / POSITIONS_PER_BLOCK)


def stall_deadline(config: Config) -> float:
    """Seconds after which a stream of which no group gets on has stalled: every wait inside for a token, a grade or a
    vote is shorter. How long answers and queues are does not matter."""
    rollout = config.rollout
    sampling = rollout.attempts * (rollout.token_seconds + LONGEST_PAUSE)
    judging = config.judge.vote_seconds if config.needs_judge else 0.0
    grading = config.task.grade_deadline * GRADING_PATIENCE
    return rollout.start_seconds + sampling + judging + grading + WORKER_PATIENCE


def _configure(context: DataContext) -> None:
    context.enable_progress_bars = False
    # One row a block, and no limit on how many wait to be fetched: with the default of two, Ray
    # Data takes one each 0.1 s while another task waits for the window.
    context.target_max_block_size = 1
    context._max_num_blocks_in_streaming_gen_buffer = 1024
    # A stream that waits for the trainer makes no progress; our own deadlines watch it.
    context.execution_no_progress_timeout_s = -1
    # It would read its memory map once a second for each task, a tenth of the time of a group worker.
    context.memory_usage_poll_interval_s = None


def segments(first: int, end: int, prompts_per_step: int) -> Iterator[tuple[int, int]]:
    """The stream in parts of whole steps, (first, end) each: a million positions would be minutes and gigabytes of
    blocks before the first of them starts. Between two parts the group workers start anew."""
    steps = max(1, POSITIONS_PER_SEGMENT // prompts_per_step)
    for start in range(first, end, steps * prompts_per_step):
        yield start, min(start + steps * prompts_per_step, end)


class StreamThread:
    """Makes and iterates the stream, part by part, in a thread of the conductor's process."""

    def __init__(
        self,
        datasets: Iterator[Dataset],
        on_group: Callable[[Group], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._datasets = datasets
        self._on_group = on_group
        self._on_failure = on_failure
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        try:
            for dataset in self._datasets:
                for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0):
                    for value in batch["groups"]:
                        for group in read_groups(value):
                            self._on_group(group)
                    if self._stopped.is_set():
                        return
        except Exception as error:  # the boundary of the thread: the failure travels to the waiting trainer
            if not self._stopped.is_set():
                self._on_failure(error)
