"""The models of an evaluation on rollout replicas, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raysgpo.config import Config
from raysgpo.evaluation.evaluating import Evaluating
from raysgpo.evaluation.replicas import IN_FLIGHT, ReplicaAnswers
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.planning.demand import replica_phases
from raysgpo.serving.sampler import serve_sampler
from raysgpo.session.interrupts import Say
from raysgpo.session.names import RunNames
from raysgpo.session.ray_session import link_logs, ray_session
from raysgpo.session.reaper import reaping
from raysgpo.session.resources import room
from raysgpo.session.running_rollout import running_rollout
from raysgpo.session.shared_folders import check_shared
from raysgpo.start.evaluated_policy import EvaluatedPolicy, evaluated_policy
from raysgpo.weights.transport import NOTHING_PUBLISHED


def evaluate_models(evaluating: Evaluating, config: Config, say: Say) -> None:
    """Start the replicas of each model that has something to answer, and have it answer all sets.

    ``config``: settings of the replicas. Every model is looked at before the first is started.

    Raises:
        ConfigError: a model cannot be used, the cluster has no room, or its replicas do not start.
    """
    asked = evaluating.unanswered()
    configs = [config.model_copy(update={"model": model.model}) for model in asked]
    policies = [evaluated_policy(one, evaluating.sets, say) for one in configs]
    if not asked:
        return
    with ray_session(say) as logs:
        link_logs(logs, evaluating.folder.path)
        for model, one, policy in zip(asked, configs, policies, strict=True):
            with room(policy.config, say, replica_phases) as placed:
                check_shared(placed, one)
            names = RunNames(evaluating.folder.path.name)
            say(f"{model.label}: starting the replicas ...")
            with reaping([names.rollout]), running_rollout(placed, names, placed.model, say) as rollout:
                sample = RetryingSampler(serve_sampler(rollout), placed.rollout, _once(say))
                answers = _answers(sample, policy)
                asyncio.run(evaluating.ask(model, answers, IN_FLIGHT * placed.rollout.replicas[1]))


def _answers(sample: RetryingSampler, policy: EvaluatedPolicy) -> ReplicaAnswers:
    longest = policy.config.rollout.max_model_len
    assert longest is not None, "the engine is sized"
    return ReplicaAnswers(sample, policy.sets, longest, NOTHING_PUBLISHED)


def _once(say: Say) -> Callable[[str], None]:
    """Each line once, however many requests wait."""
    said: set[str] = set()

    def tell(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return tell
