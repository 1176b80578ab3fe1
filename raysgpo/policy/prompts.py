"""Problems to prompt token ids, under the model's chat template."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from raysgpo.config.overrides import ConfigError
from raysgpo.groups.prepared import Prompt
from raysgpo.records import Problem


def load_tokenizer(model_path: str) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(model_path)


def turn(tokenizer: PreTrainedTokenizerBase, problem: Problem) -> str:
    """The problem as the user's turn, up to where the assistant's begins, under the chat template."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": problem.prompt}], add_generation_prompt=True, tokenize=False
    )
    assert isinstance(text, str), "without tokenize a template gives text"
    return text


def encode(tokenizer: PreTrainedTokenizerBase, problem: Problem) -> Prompt:
    """The problem's turn as token ids; plain text without a template."""
    if tokenizer.chat_template is None:
        return Prompt(problem, tokenizer(problem.prompt)["input_ids"])
    return Prompt(problem, tokenizer(turn(tokenizer, problem), add_special_tokens=False)["input_ids"])


def encode_fitting(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], max_prompt_tokens: int
) -> tuple[list[Prompt], list[str]]:
    """The problems that fit into ``max_prompt_tokens``, and the ids of those that do not.

    Raises:
        ConfigError: none fits.
    """
    prompts = [encode(tokenizer, problem) for problem in problems]
    fitting = [prompt for prompt in prompts if len(prompt.token_ids) <= max_prompt_tokens]
    if not fitting:
        shortest = min((len(prompt.token_ids) for prompt in prompts), default=0)
        raise ConfigError(
            f"none of the {len(prompts)} prompts fits: the shortest has {shortest} tokens and the model takes "
            f"{max_prompt_tokens} beside an answer of sampling.max_tokens; lower sampling.max_tokens or "
            "take a model with a longer context"
        )
    too_long = [prompt.problem.id for prompt in prompts if len(prompt.token_ids) > max_prompt_tokens]
    return fitting, too_long
