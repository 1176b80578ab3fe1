"""What runs in each phase of an offline run: replicas in one, the trainer in another, never both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.judging.address import JudgeAddress
from raysgpo.offline.recorded_source import RecordedSource
from raysgpo.output.run_folder import RunFolder
from raysgpo.remote import result
from raysgpo.serving.application import delete
from raysgpo.serving.judge_replicas import start_judge
from raysgpo.session.judge_access import Say
from raysgpo.session.moving_parts import MovingParts, running_conductor
from raysgpo.session.names import RunNames
from raysgpo.session.resources import workers_with_room
from raysgpo.training.job import TrainJob
from raysgpo.training.thread import TrainerThread
from raysgpo.weights.transport import NobodyListens


@contextmanager
def starting_judge(config: ResolvedConfig, names: RunNames) -> Iterator[JudgeAddress]:
    """Judge replicas that are coming up, so that others may beside them; taken down at the end."""
    address = start_judge(config.judge, names.judge)
    try:
        yield address
    finally:
        delete(names.judge, deadline=5.0)


@contextmanager
def running_trainer(prepared: Prepared, run: RunFolder, start: StartState, say: Say) -> Iterator[MovingParts]:
    """The trainer on the groups of ``judged.jsonl``, with no replica beside it."""
    source = partial(RecordedSource, file=run.judged)
    with ExitStack() as afterwards, running_conductor(prepared, run, start, source) as conductor:
        result(conductor.start.remote(conductor), None)  # it reads the whole file before it answers
        result(conductor.open_publishing.remote())
        job = TrainJob(prepared.config, run, conductor, NobodyListens(), prepared.total_steps)
        trainer = TrainerThread(job, run.path, workers_with_room(prepared.config, serving=False), say)
        trainer.start()
        afterwards.callback(trainer.wait)
        yield MovingParts(conductor, trainer)
