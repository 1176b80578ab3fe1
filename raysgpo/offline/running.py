"""The moving parts of an offline run: replicas in one phase, the trainer in another, never both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray

from raysgpo.config import Config
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.judging.address import JudgeAddress
from raysgpo.offline.conductor import RecordedConductor
from raysgpo.output.run_folder import RunFolder
from raysgpo.serving.application import delete
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.judge_replicas import start_judge
from raysgpo.session.moving_parts import (
    CALL_DEADLINE,
    MovingParts,
    Say,
    check_vocabulary,
    close_conductor,
    wait_for_judge_replicas,
)
from raysgpo.training.job import TrainJob
from raysgpo.training.thread import TrainerThread
from raysgpo.weights.store import start_weight_store


@contextmanager
def running_replicas(
    config: Config, name: str, model: str, rollout: bool, judge: bool, say: Say
) -> Iterator[tuple[Any, JudgeAddress | None]]:
    """Rollout replicas that serve ``model`` as it is, and judge replicas: each only if asked for, else None.

    They come up at the same time, and are taken down at the end. ``name``: the run's.
    """
    rollout_name, judge_name = f"{name}-rollout", f"{name}-judge"
    handle, address = None, None
    with ExitStack() as ending:
        if judge:  # first: Serve starts with HTTP or without
            address = start_judge(config.judge, judge_name)
            ending.callback(delete, judge_name, deadline=5.0)
        if rollout:
            handle = start_rollout(model, config.rollout, start_weight_store(), name=rollout_name)
            ending.callback(delete, rollout_name)
            wait_for_rollout(config.rollout, rollout_name, say)
            check_vocabulary(model, handle)
        if address is not None:
            wait_for_judge_replicas(config, address, judge_name, say)
        yield handle, address


@contextmanager
def running_trainer(prepared: Prepared, run: RunFolder, start: StartState, score: bool) -> Iterator[MovingParts]:
    """The trainer on the groups of ``judged.jsonl``, with no replica beside it. ``score``: see ``TrainJob``."""
    conductor = ray.remote(RecordedConductor).options(num_cpus=0).remote(prepared, run, start)
    try:
        ray.get(conductor.start.remote(conductor), timeout=CALL_DEADLINE)
        job = TrainJob(prepared.config, run.checkpoints, conductor, None, None, prepared.total_steps, score)
        trainer = TrainerThread(job, run.path)
        trainer.start()
        yield MovingParts(conductor, None, trainer, None)
    finally:
        close_conductor(conductor)
