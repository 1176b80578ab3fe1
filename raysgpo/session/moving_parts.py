"""The moving parts of a run: started together, and taken down at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import ray

from raysgpo.conductor.conductor import Conductor
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.live_source import LiveSource
from raysgpo.conductor.source import SourceFactory
from raysgpo.config.overrides import ConfigError
from raysgpo.config.run_name import plain_name
from raysgpo.groups.judge_budget import JudgeBudget
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.judging.address import JudgeAddress
from raysgpo.output.run_folder import RunFolder
from raysgpo.remote import CALL_DEADLINE, result
from raysgpo.serving.application import delete
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.handle import RolloutHandle
from raysgpo.serving.judge_replicas import start_judge
from raysgpo.session.judge_access import Say, wait_for_judge_replicas
from raysgpo.start.preparation import model_settings
from raysgpo.training.job import TrainJob
from raysgpo.training.thread import TrainerThread
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import ReplicaPublisher


@dataclass(frozen=True, slots=True)
class MovingParts:
    """What the main thread talks to."""

    conductor: ConductorHandle
    trainer: TrainerThread
    end_judging: Callable[[], None] | None = None
    """Takes the judge replicas down; None if there are none."""


@contextmanager
def running_parts(
    prepared: Prepared, run: RunFolder, start: StartState, judge: JudgeAddress | None, say: Say
) -> Iterator[MovingParts]:
    """Everything up, within the session of Ray that is there, and taken down at the end.

    All processes come up at the same time; the trainer publishes once the replicas are there, and
    from then on the run goes on by itself. ``judge``: the address of a judge that runs elsewhere.
    """
    config = prepared.config
    with ExitStack() as ending:
        judging = ending.enter_context(ExitStack())
        replicas = _wants_replicas(prepared, start)
        if replicas:
            judge = start_judge(config.judge, judge_name(run))
            judging.callback(delete, judge_name(run), deadline=5.0)
        name = rollout_name(run)
        transport = StoreTransport(start_weight_store())
        rollout = start_rollout(config.model, config.rollout, transport, name=name)
        ending.callback(delete, name)
        source = partial(LiveSource, rollout=rollout, judge=judge)
        conductor = ending.enter_context(running_conductor(prepared, run, start, source))
        started = conductor.start.remote(conductor)
        job = TrainJob(config, run.checkpoints, conductor, ReplicaPublisher(transport, rollout), prepared.total_steps)
        trainer = TrainerThread(job, run.path)
        trainer.start()
        wait_for_rollout(config.rollout, name, say)
        check_vocabulary(config.model, rollout)
        if replicas and judge is not None:
            wait_for_judge_replicas(config, judge, judge_name(run), say)
        result(started)
        result(conductor.open_publishing.remote())
        yield MovingParts(conductor, trainer, judging.close if replicas else None)


def rollout_name(run: RunFolder) -> str:
    """The Serve application of the rollout replicas."""
    return f"{plain_name(run.path.name)}-rollout"


def judge_name(run: RunFolder) -> str:
    """The Serve application of the judge replicas."""
    return f"{plain_name(run.path.name)}-judge"


@contextmanager
def running_conductor(
    prepared: Prepared, run: RunFolder, start: StartState, source: SourceFactory
) -> Iterator[ConductorHandle]:
    """The conductor's actor; at the end its records are on disk."""
    conductor: ConductorHandle = ray.remote(Conductor).options(num_cpus=0).remote(prepared, run, start, source)
    try:
        yield conductor
    finally:
        result(conductor.close.remote())


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
