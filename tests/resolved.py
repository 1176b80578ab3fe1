"""Settings as the preparation of a run would leave them, for tests of what comes after it."""

from __future__ import annotations

from typing import Any, TypeVar

from raysgpo.config import Config, JudgeConfig, RolloutConfig
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.policy.layout import choose_layout
from raysgpo.start.machine import Machine, with_machine

LONGEST = 512
CACHE_GIB = 0.1
Engine = TypeVar("Engine", RolloutConfig, JudgeConfig)


def resolved(config: Config) -> ResolvedConfig:
    """``config`` with what it leaves open filled in, as for a model that takes 512 tokens."""
    guidance, algorithm = config.guidance, config.algorithm
    limit = guidance.max_length or guidance.length or config.sampling.max_tokens - 1
    if guidance.on:
        lengths = {"length": guidance.length or limit, "max_length": limit}
        guidance = guidance.model_copy(update=lengths)
    if algorithm.compared_with.threshold and algorithm.r_min_correct is None:
        algorithm = algorithm.model_copy(update={"r_min_correct": config.task.row.threshold})
    config = with_machine(config, parameters=1, machine=Machine(cores=1, multiplies_bfloat16=False))
    values = {
        "guidance": guidance,
        "algorithm": algorithm,
        "rollout": filled(config.rollout),
        "judge": filled(config.judge),
        "trainer": config.trainer.model_copy(update={"layout": choose_layout(config.trainer)}),
    }
    return ResolvedConfig.of(config.model_copy(update=values))


def filled(section: Engine) -> Engine:
    """The settings of an engine with the numbers that it may leave open."""
    values: dict[str, Any] = {
        "max_model_len": section.max_model_len or LONGEST,
        "kv_cache_gib": section.kv_cache_gib or CACHE_GIB,
        "start_deadline": section.start_seconds,
    }
    if isinstance(section, RolloutConfig):
        values["token_deadline"] = section.token_seconds
    else:
        values |= {"call_deadline": section.call_seconds, "deadline": section.vote_seconds}
    return section.model_copy(update=values)
