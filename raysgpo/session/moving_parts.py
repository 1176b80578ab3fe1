"""The moving parts of a run: started together, and taken down at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import ray
from ray.exceptions import RayActorError

from raysgpo.conductor.conductor import Conductor
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.live_source import LiveSource
from raysgpo.conductor.source import SourceFactory
from raysgpo.config.overrides import ConfigError
from raysgpo.groups.judge_budget import JudgeBudget
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.judging.address import JudgeAddress
from raysgpo.output.run_folder import RunFolder
from raysgpo.remote import CALL_DEADLINE, result
from raysgpo.serving.application import delete
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.handle import RolloutHandle, RolloutService
from raysgpo.serving.judge_replicas import start_judge
from raysgpo.session.judge_access import Say, wait_for_judge_replicas
from raysgpo.session.names import RunNames
from raysgpo.session.reaper import reaping
from raysgpo.start.preparation import model_settings
from raysgpo.training.job import TrainJob
from raysgpo.training.thread import TrainerThread
from raysgpo.weights.store import StoreHandle, start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import ReplicaPublisher


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
    """Raises if a part died that nobody else would miss in time."""


@contextmanager
def running_parts(
    prepared: Prepared, run: RunFolder, start: StartState, judge: JudgeAddress | None, say: Say
) -> Iterator[MovingParts]:
    """Everything up, within the session of Ray that is there, and taken down at the end.

    All processes come up at the same time; the trainer publishes once the replicas are there, and
    from then on the run goes on by itself. ``judge``: the address of a judge that runs elsewhere.
    """
    config, names = prepared.config, RunNames.of(run)
    with reaping([names.rollout, names.judge]), ExitStack() as ending:
        judging = ending.enter_context(ExitStack())
        replicas = _wants_replicas(prepared, start)
        if replicas:
            judge = start_judge(config.judge, names.judge)
            judging.callback(delete, names.judge, deadline=5.0)
        store = start_weight_store()
        transport = StoreTransport(store)
        rollout = start_rollout(config.model, config.rollout, transport, name=names.rollout, run_id=names.id)
        ending.callback(delete, names.rollout)
        source = partial(LiveSource, rollout=RolloutService(rollout, names.id), judge=judge)
        afterwards = ending.enter_context(ExitStack())  # what is left to do when the conductor is gone
        conductor = ending.enter_context(running_conductor(prepared, run, start, source))
        started = conductor.start.remote(conductor)
        job = TrainJob(config, run.checkpoints, conductor, ReplicaPublisher(transport, rollout), prepared.total_steps)
        trainer = TrainerThread(job, run.path)
        trainer.start()
        afterwards.callback(trainer.wait)
        wait_for_rollout(config.rollout, names.rollout, say)
        check_vocabulary(config.model, rollout)
        if replicas and judge is not None:
            wait_for_judge_replicas(config, judge, names.judge, say)
        result(started)
        result(conductor.open_publishing.remote())
        yield MovingParts(conductor, trainer, judging.close if replicas else None, partial(_check, store))


def _check(store: StoreHandle) -> None:
    """Without the store no weights arrive anywhere, and starting the train workers again does not help."""
    result(store.latest.remote())


@contextmanager
def running_conductor(
    prepared: Prepared, run: RunFolder, start: StartState, source: SourceFactory
) -> Iterator[ConductorHandle]:
    """The conductor's actor; at the end its records are on disk."""
    conductor: ConductorHandle = ray.remote(Conductor).options(num_cpus=0).remote(prepared, run, start, source)
    try:
        yield conductor
    finally:
        with contextlib.suppress(RayActorError):  # one that is gone has nothing to close
            result(conductor.close.remote())
        ray.kill(conductor)  # workers that would start again see that there is nothing left to do


def _wants_replicas(prepared: Prepared, start: StartState) -> bool:
    """Whether judge replicas have anything to do in what is left of the run."""
    judge_budget = JudgeBudget(prepared.config, len(prepared.train), start.controllers.get("judge_budget"))
    return prepared.config.judge.kind == "replicas" and not judge_budget.over(start.step, start.position)


def check_vocabulary(model: str, rollout: RolloutHandle) -> None:
    """Refuse an engine whose token ids are not the trainer's: every logprob would be of another token.

    Raises:
        ConfigError: the sizes differ.
    """
    trainer = model_settings(model).vocab_size
    engine = rollout.state.remote().result(timeout_s=CALL_DEADLINE).vocab_size
    if engine != trainer:
        raise ConfigError(
            f"the rollout engine has {engine} tokens and the trainer's model={model} has {trainer}: "
            "both must load the same checkpoint; remove what rollout.engine sets of the model"
        )
