"""The moving parts of a run that train: started together, and taken down at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from raysgpo.conductor.conductor import Conductor
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.live_source import LiveSource
from raysgpo.conductor.source import SourceFactory
from raysgpo.config.run_name import plain_name
from raysgpo.groups.judge_budget import JudgeBudget
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.output.run_folder import RunFolder
from raysgpo.remote import on_this_node, result
from raysgpo.serving.handle import RolloutService
from raysgpo.session.interrupts import Say
from raysgpo.session.resources import workers_with_room
from raysgpo.session.serving_parts import ServingParts
from raysgpo.training.job import TrainJob
from raysgpo.training.thread import TrainerThread
from raysgpo.weights.transport import ReplicaPublisher

CLOSING = 30.0
"""Seconds in which the conductor brings its records to an end."""


def _nothing() -> None:
    """Where no part is missed by itself."""


@dataclass(frozen=True, slots=True)
class MovingParts:
    """What the main thread talks to."""

    conductor: ConductorHandle
    trainer: TrainerThread
    end_judging: Callable[[], None] | None = None
    """Takes the judge replicas down; None if there are none."""
    check: Callable[[], None] = _nothing
    """Raises if a part died, or hangs, that nobody else would miss in time."""


@contextmanager
def running_parts(
    prepared: Prepared, run: RunFolder, start: StartState, serving: ServingParts, say: Say
) -> Iterator[MovingParts]:
    """Everything up, within the session of Ray that is there; what trains is taken down at the end.

    All processes come up at the same time; the trainer publishes once the replicas are there, and
    from then on the run goes on by itself.
    """
    config, judging = prepared.config, _wants_replicas(prepared, start)
    workers = workers_with_room(config, serving.up)
    # Replicas of an earlier attempt may hold weights that no checkpoint covers, and take none of a lower version.
    start = replace(start, version=max(start.version, serving.start(judging)))
    rollout = RolloutService(serving.rollout, serving.run_id)
    source = partial(LiveSource, rollout=rollout, judge=serving.judge, run=plain_name(run.path.name))
    with ExitStack() as afterwards, running_conductor(prepared, run, start, source) as conductor:
        started = conductor.start.remote(conductor)
        publisher = ReplicaPublisher(serving.transport, rollout.handle)
        job = TrainJob(config, run, conductor, publisher, prepared.total_steps)
        trainer = TrainerThread(job, run.path, workers, say)
        trainer.start()
        afterwards.callback(trainer.wait)  # what is left to do when the conductor is gone
        try:
            serving.wait()
            result(started)
            result(conductor.open_publishing.remote())
        except BaseException:  # Ctrl-C too
            trainer.kill()  # It has trained nothing, so nobody need wait until it ends by itself.
            raise

        def check() -> None:
            serving.check()
            trainer.check()

        yield MovingParts(conductor, trainer, serving.end_judging if judging else None, check)


@contextmanager
def running_conductor(
    prepared: Prepared, run: RunFolder, start: StartState, source: SourceFactory
) -> Iterator[ConductorHandle]:
    """The conductor's actor; at the end its records are on disk."""
    actor = ray.remote(Conductor).options(num_cpus=0, scheduling_strategy=on_this_node())
    conductor: ConductorHandle = actor.remote(prepared, run, start, source)
    try:
        yield conductor
    finally:
        with contextlib.suppress(RayActorError, GetTimeoutError):  # one that is gone, or hangs, closes nothing
            result(conductor.close.remote(), CLOSING)
        ray.kill(conductor)  # workers that would start again see that there is nothing left to do


def _wants_replicas(prepared: Prepared, start: StartState) -> bool:
    """Whether judge replicas have anything to do in what is left of the run."""
    judge_budget = JudgeBudget(prepared.config, len(prepared.train), start.controllers.get("judge_budget"))
    return prepared.config.judge.kind == "replicas" and not judge_budget.over(start.step, start.position)
