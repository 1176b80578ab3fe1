"""The moving parts of a run: started together, and taken down at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from raysgpo.conductor.conductor import Conductor
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.groups.judge_budget import JudgeBudget
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.judging.address import JudgeAddress
from raysgpo.judging.credentials import read_key
from raysgpo.judging.endpoint import EndpointJudge, JudgeUnavailable
from raysgpo.output.run_folder import RunFolder
from raysgpo.serving.application import delete
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.judge_replicas import start_judge, wait_for_judge
from raysgpo.start.preparation import model_settings
from raysgpo.training.job import TrainJob
from raysgpo.training.thread import TrainerThread
from raysgpo.weights.store import start_weight_store

CALL_DEADLINE = 60.0
"""Seconds for a call to an actor that answers at once."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MovingParts:
    conductor: Any
    """Actor handle of the conductor."""
    rollout: Any
    """Serve handle of the rollout deployment."""
    trainer: TrainerThread
    end_judging: Callable[[], None] | None
    """Takes the judge replicas down; None if there are none."""


@contextmanager
def running_parts(
    prepared: Prepared, run: RunFolder, start: StartState, judge: JudgeAddress | None, say: Say
) -> Iterator[MovingParts]:
    """Everything up, within the session of Ray that is there, and taken down at the end.

    All processes come up at the same time; the trainer publishes once the replicas are there, and
    from then on the run goes on by itself. ``judge``: the address of a judge that runs elsewhere.
    """
    config, name, judge_name = prepared.config, f"{run.path.name}-rollout", f"{run.path.name}-judge"
    with ExitStack() as ending:
        judging = ending.enter_context(ExitStack())
        replicas = _wants_replicas(prepared, start)
        if replicas:
            judge = start_judge(config.judge, judge_name)
            judging.callback(delete, judge_name, deadline=5.0)
        store = start_weight_store()
        rollout = start_rollout(config.model, config.rollout, store, name=name)
        ending.callback(delete, name)
        conductor = ray.remote(Conductor).options(num_cpus=0).remote(prepared, run, rollout, start, judge)
        ending.callback(close_conductor, conductor)
        started = conductor.start.remote(conductor)
        trainer = TrainerThread(
            TrainJob(config, run.checkpoints, conductor, store, rollout, prepared.total_steps), run.path
        )
        trainer.start()
        wait_for_rollout(config.rollout, name, say)
        check_vocabulary(config.model, rollout)
        if replicas and judge is not None:
            wait_for_judge_replicas(config, judge, judge_name, say)
        ray.get([started, conductor.replicas_are_up.remote()], timeout=CALL_DEADLINE)
        yield MovingParts(conductor, rollout, trainer, judging.close if replicas else None)


def endpoint_address(config: Config, say: Say) -> JudgeAddress | None:
    """The judge that runs elsewhere, asked whether it is there; None if the run has none such.

    Raises:
        ConfigError: there is no key, or the judge does not answer and ``judge.required`` is set.
    """
    judge = config.judge
    if judge.kind != "endpoint" or not config.needs_judge:
        return None
    assert judge.base_url is not None and judge.model is not None, "the configuration refuses such an endpoint"
    address = JudgeAddress(judge.base_url, judge.model, read_key(judge))
    _check(config, address, say)
    return address


def _wants_replicas(prepared: Prepared, start: StartState) -> bool:
    """Whether judge replicas have anything to do in what is left of the run."""
    judge_budget = JudgeBudget(prepared.config, len(prepared.train), start.controllers.get("judge_budget"))
    return prepared.config.judge.kind == "replicas" and not judge_budget.over(start.step, start.position)


def wait_for_judge_replicas(config: Config, address: JudgeAddress, name: str, say: Say) -> None:
    """Return once they answer; or, without ``judge.required``, once they have failed to."""
    try:
        wait_for_judge(config.judge, name, say)
    except (RuntimeError, TimeoutError) as error:
        if config.judge.required:
            raise
        say(f"{error}; the run goes on without a judge (judge.required=false), and its votes are lost")
        return
    _check(config, address, say)


def _check(config: Config, address: JudgeAddress, say: Say) -> None:
    async def check() -> None:
        judge = EndpointJudge(config.judge, address.base_url, address.model, address.key)
        try:
            await judge.check(config.judge.start_deadline)
        finally:
            await judge.close()

    try:
        asyncio.run(check())
    except JudgeUnavailable as error:
        if config.judge.required:
            raise ConfigError(f"{error} (or set judge.required=false to start without the judge)") from None
        say(f"{error}; the run starts without it (judge.required=false), and its votes are lost until it answers")


def check_vocabulary(model: str, rollout: Any) -> None:
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


def close_conductor(conductor: Any) -> None:
    """End the conductor's work, with its records on disk."""
    ray.get(conductor.close.remote(), timeout=CALL_DEADLINE)
