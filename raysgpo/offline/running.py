"""What runs in each phase of an offline run: replicas in one, the trainer in another, never both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.judging.address import JudgeAddress
from raysgpo.offline.recorded_source import RecordedSource
from raysgpo.output.run_folder import RunFolder
from raysgpo.remote import result
from raysgpo.serving.application import delete
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.handle import RolloutHandle
from raysgpo.serving.judge_replicas import start_judge
from raysgpo.session.judge_access import Say
from raysgpo.session.moving_parts import MovingParts, check_vocabulary, judge_name, rollout_name, running_conductor
from raysgpo.training.job import TrainJob
from raysgpo.training.thread import TrainerThread
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import NobodyListens


@contextmanager
def running_rollout(config: ResolvedConfig, run: RunFolder, model: str, say: Say) -> Iterator[RolloutHandle]:
    """Rollout replicas that serve ``model`` as it is, taken down at the end."""
    name = rollout_name(run)
    handle = start_rollout(model, config.rollout, StoreTransport(start_weight_store()), name=name)
    try:
        wait_for_rollout(config.rollout, name, say)
        check_vocabulary(model, handle)
        yield handle
    finally:
        delete(name)


@contextmanager
def starting_judge(config: ResolvedConfig, run: RunFolder) -> Iterator[JudgeAddress]:
    """Judge replicas that are coming up, so that others may beside them; taken down at the end."""
    address = start_judge(config.judge, judge_name(run))
    try:
        yield address
    finally:
        delete(judge_name(run), deadline=5.0)


@contextmanager
def running_trainer(prepared: Prepared, run: RunFolder, start: StartState) -> Iterator[MovingParts]:
    """The trainer on the groups of ``judged.jsonl``, with no replica beside it."""
    with running_conductor(prepared, run, start, partial(RecordedSource, file=run.judged)) as conductor:
        result(conductor.start.remote(conductor), None)  # it reads the whole file before it answers
        result(conductor.open_publishing.remote())
        trainer = TrainerThread(
            TrainJob(prepared.config, run.checkpoints, conductor, NobodyListens(), prepared.total_steps), run.path
        )
        trainer.start()
        yield MovingParts(conductor, trainer)
