"""The questions of sets as a model is asked them: under its chat template, within its context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.evaluation.catalogue import chosen_sets
from raysgpo.evaluation.questions import load_set
from raysgpo.groups.prepared import EncodedSet
from raysgpo.policy.prompts import check_template_arguments, encode_fitting
from raysgpo.tasks.question_set import QuestionSet


def run_sets(config: Config) -> Iterator[QuestionSet]:
    """Those of ``evaluation.sets``, with the arguments of the chat template that the run's prompts have.

    Raises:
        ConfigError: there is no such set, it cannot be read, or a run cannot grade it.
    """
    arguments = config.task.chat_template_kwargs
    for settings in chosen_sets(config.evaluation.sets):
        if settings.grader == "examiner":
            raise ConfigError(
                f"evaluation.sets={settings.name}: an examiner grades it, and a run has none: evaluate its exports by "
                'jobs/evaluate.py, or describe the set with grader = "rules" in a file of your own'
            )
        both = arguments | settings.chat_template_kwargs
        yield load_set(settings.model_copy(update={"chat_template_kwargs": both}))


def encoded_set(
    tokenizer: PreTrainedTokenizerBase, of: QuestionSet, context: int, say: Callable[[str], None]
) -> EncodedSet:
    """The questions of a set that leave room for an answer; what has none, or less than asked, is said.

    Raises:
        ConfigError: the chat template does not show what is asked, or no question fits.
    """
    settings = of.settings
    check_template_arguments(f"{of.name}.chat_template_kwargs", tokenizer, settings.chat_template_kwargs)
    try:
        prompts, too_long = encode_fitting(
            tokenizer, of.problems, context - 1, of.before, settings.chat_template_kwargs
        )
    except ConfigError as error:
        raise ConfigError(f"{of.name}: {error}") from None
    if too_long:
        say(
            f"{of.name}: {len(too_long)} questions are longer than the model's {context:,} tokens (the first: "
            f"{too_long[0]})"
        )
    left = context - max(len(prompt.token_ids) for prompt in prompts)
    if left < settings.max_tokens:
        say(
            f"{of.name}: answers end where the model's {context:,} tokens do, after {left:,} or more of "
            f"max_tokens={settings.max_tokens}"
        )
    return EncodedSet(of, {prompt.problem.id: prompt.token_ids for prompt in prompts})


def longest_sequence(one: EncodedSet, context: int) -> int:
    """Tokens of the longest question and answer."""
    return min(max(map(len, one.token_ids.values())) + one.of.settings.max_tokens, context)


def answers_of(sets: Sequence[EncodedSet]) -> int:
    """How many answers there are to all of them."""
    return sum(len(one.token_ids) * one.of.settings.samples for one in sets)
