"""A model that is to be evaluated: found, its engine sized, and every question of the sets encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raysgpo.config import Config
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.prepared import EncodedSet
from raysgpo.policy.model_size import parameters
from raysgpo.policy.prompts import load_tokenizer
from raysgpo.start.engine_names import ENGINE, check_arguments
from raysgpo.start.engines import resolved_rollout
from raysgpo.start.evaluated_sets import answers_of, encoded_set, longest_sequence
from raysgpo.start.machine import Machine, with_machine
from raysgpo.start.preparation import context_length, find_model, model_settings, quiet_libraries
from raysgpo.tasks.question_set import QuestionSet


@dataclass(frozen=True, slots=True)
class EvaluatedPolicy:
    config: ResolvedConfig
    """Its folder or hub name, and its replicas, as they are started."""
    sets: tuple[EncodedSet, ...]


def evaluated_policy(config: Config, sets: Sequence[QuestionSet], say: Callable[[str], None]) -> EvaluatedPolicy:
    """``config``: the model and its replicas, as they were asked for.

    Raises:
        ConfigError: the model, its tokenizer or its chat template cannot be used.
    """
    quiet_libraries()
    check_arguments("rollout.engine", config.rollout.engine, ENGINE)
    model = find_model(config, say)
    settings, tokenizer = model_settings(model), load_tokenizer(model)
    context = context_length(config, model, tokenizer)
    encoded = tuple(encoded_set(tokenizer, one, context, say) for one in sets)
    longest = max(longest_sequence(one, context) for one in encoded)
    # There is no trainer, whose type the engine would take: it computes as on its own device.
    trainer = config.trainer.model_copy(update={"gpus": min(config.rollout.gpus, 1), "layout": "padded"})
    config = with_machine(
        config.model_copy(update={"model": model, "trainer": trainer}), parameters(settings), Machine.here()
    )
    rollout = resolved_rollout(config, settings, longest, train=0, answers=answers_of(encoded))
    return EvaluatedPolicy(ResolvedConfig.of(config.model_copy(update={"rollout": rollout})), encoded)
