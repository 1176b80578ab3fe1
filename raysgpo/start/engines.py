"""The settings of the engines with every automatic value filled in: lengths, caches, deadlines."""

from __future__ import annotations

import math
from collections.abc import Iterable

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from raysgpo.config import Config, JudgeConfig, RolloutConfig
from raysgpo.config.deadlines import start_deadline, token_deadline, update_deadline
from raysgpo.config.engine_parts import at_once
from raysgpo.config.overrides import ConfigError
from raysgpo.policy.model_size import parameters
from raysgpo.start.engine_sizes import Load, cache_gib, number_bytes, weights_gib
from raysgpo.start.judge_questions import Question, question_tokens
from raysgpo.start.machine import Machine, cpu_dtype

LEAST_ANSWER = 256
"""Tokens without which such an answer is cut off before its verdict."""
VERIFY_MARGIN, COMPACT_MARGIN = 1.25, 3.0
"""How much longer a question may become than with the stand-in for the answer: a table has rows of its own for what
does not stand where the reference has it."""


def resolved_rollout(
    config: Config, settings: PreTrainedConfig, longest: int, train: int, answers: int
) -> RolloutConfig:
    """``longest``: prompt plus answer, tokens. ``train``: number of prompts; ``answers``: of an evaluation.

    Raises:
        ConfigError: the cache has no room for one sequence.
    """
    rollout, sampling = config.rollout, config.sampling
    engine = {"dtype": rollout.dtype} | rollout.engine
    prompts = min((config.max_staleness + 1) * config.prompts_per_step * config.refill_limit, train)
    most = max(prompts * sampling.group_size, answers)
    load = Load(
        section="rollout",
        replicas=rollout.replicas[1],
        sequences=at_once(most, rollout.replicas[0], rollout.gpus, rollout.engine),
        length=int(rollout.engine.get("max_model_len") or longest),
        engine=engine,
        lever="sampling.max_tokens",
    )
    on_cpu, weights = rollout.gpus == 0, _weights(settings, rollout)
    values = {
        "max_model_len": longest,
        "kv_cache_gib": cache_gib(settings, load, rollout.kv_cache_gib) if on_cpu else rollout.kv_cache_gib,
        "start_deadline": rollout.start_deadline or start_deadline(weights),
        "update_deadline": rollout.update_deadline or update_deadline(weights),
        "token_deadline": rollout.token_deadline or token_deadline(weights, load.length, on_cpu),
    }
    return rollout.model_copy(update=values)


def resolved_judge(
    judge: JudgeConfig, settings: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, questions: Iterable[Question]
) -> JudgeConfig:
    """Of a judge that is served on the cluster; ``settings`` and ``tokenizer`` are its model's.

    Raises:
        ConfigError: its model is too short for the questions, or the cache for one of them.
    """
    length = judge_length(judge, settings, tokenizer, questions)
    engine = judge.engine
    if judge.gpus == 0:
        engine = {"dtype": cpu_dtype(parameters(settings), Machine.here())} | engine
    load = Load(
        section="judge",
        replicas=judge.replicas[1],
        sequences=at_once(judge.concurrency, judge.replicas[0], judge.gpus, judge.engine),
        length=int(engine.get("max_model_len") or length),
        engine=engine,
        lever="judge.max_tokens or judge.max_model_len",
    )
    values = {
        "max_model_len": length,
        "engine": engine,
        "kv_cache_gib": judge.kv_cache_gib if judge.gpus else cache_gib(settings, load, judge.kv_cache_gib),
        "start_deadline": judge.start_deadline or start_deadline(_weights(settings, judge)),
    }
    return timed_judge(judge.model_copy(update=values))


def timed_judge(judge: JudgeConfig) -> JudgeConfig:
    """With its deadlines filled in."""
    return judge.model_copy(
        update={
            "start_deadline": judge.start_seconds,
            "call_deadline": judge.call_seconds,
            "deadline": judge.vote_seconds,
        }
    )


def judge_length(
    judge: JudgeConfig, settings: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, questions: Iterable[Question]
) -> int:
    """Tokens of the longest question and the judge's answer: ``judge.max_model_len`` where it is not set.

    Raises:
        ConfigError: the model takes fewer.
    """
    limit: int | None = getattr(settings, "max_position_embeddings", None)
    asked = judge.max_model_len
    if asked is not None:
        if limit is not None and asked > limit:
            raise ConfigError(f"judge.max_model_len={asked}: judge.model={judge.model} takes at most {limit} tokens")
        return asked
    question = question_tokens(judge, tokenizer, questions)
    compact = judge.prompt == "compact"
    answer = 1 if compact else judge.answer_tokens
    least = answer if compact or judge.max_tokens else LEAST_ANSWER
    if limit is not None and question + least > limit:
        raise ConfigError(
            f"judge.model={judge.model} takes {limit} tokens, and the longest question to it (problem, reference and "
            f"answer) has about {question} beside the {least} of its own answer: lower sampling.max_tokens, take "
            f"another judge.model, or set judge.max_model_len={limit} and lose the votes on longer ones"
        )
    wanted = math.ceil(question * (COMPACT_MARGIN if compact else VERIFY_MARGIN)) + answer
    return wanted if limit is None else min(wanted, limit)


def _weights(settings: PreTrainedConfig, engine: RolloutConfig | JudgeConfig) -> float:
    """GiB of them, as the engine holds them."""
    return weights_gib(settings, number_bytes(engine.engine, otherwise=2 if engine.gpus else 4))
