"""Problems to prompt token ids, under the model's chat template, and that the policy is shown what was asked."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from jinja2.defaults import DEFAULT_NAMESPACE
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import chat_template_utils

from raysgpo.config.overrides import ConfigError
from raysgpo.groups.prepared import Prompt
from raysgpo.records import Problem, Turns

TODAY = datetime(2026, 1, 1)
"""What a chat template that shows the date is told: a run that is resumed, or repeated, sees the same prompts."""
CLOCK = "strftime_now"
"""What templates call to know the date."""
MEND = "take another model, or mend the template (chat_template.jinja in its folder)"
NAMED = 5
"""How many rows a message names."""
Arguments = Mapping[str, Any]
"""Of a chat template, beside the messages: ``{"enable_thinking": False}``."""
NONE: Arguments = MappingProxyType({})
_OWN = {"messages", "tools", "documents", "add_generation_prompt", "raise_exception", CLOCK, *DEFAULT_NAMESPACE}
"""What a template reads that is no argument of a user."""


def load_tokenizer(model_path: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or a hub name.

    Raises:
        ConfigError: there is none that can be loaded.
    """
    try:
        # Unsaid, a repository with code of its own would have a question asked on the terminal.
        return AutoTokenizer.from_pretrained(model_path, trust_remote_code=False)
    except Exception as error:  # whatever a file of the user's makes the loader stumble over
        raise ConfigError(f"model={model_path}: its tokenizer cannot be loaded: {brief_error(error)}") from None


def brief_error(error: Exception) -> str:
    """What another package's error says, as a part of one line."""
    said = next((line for line in str(error).splitlines() if line.strip()), "") or type(error).__name__
    return " ".join(said.split())[:300]


def shows_date(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template asks for the date."""
    return CLOCK in str(tokenizer.chat_template)


def check_template_arguments(setting: str, tokenizer: PreTrainedTokenizerBase, arguments: Arguments) -> None:
    """Refuse an argument that the chat template does not read.

    Raises:
        ConfigError: with the names that it reads, and the nearest.
    """
    unknown = [name for name in arguments if name not in template_arguments(tokenizer)]
    if not unknown:
        return
    named = f"{setting}={{{unknown[0]}: {arguments[unknown[0]]}}}"
    model = tokenizer.name_or_path
    if tokenizer.chat_template is None:
        raise ConfigError(f"{named}: model={model} has no chat template that could read it: remove it")
    known = sorted(template_arguments(tokenizer))
    near = difflib.get_close_matches(unknown[0], known, n=1)
    mean = f"; did you mean {near[0]}?" if near else ""
    reads = f"it reads {', '.join(known)}{mean}" if known else "it reads none: remove it"
    raise ConfigError(f"{named}: the chat template of model={model} does not read it; {reads}")


def template_arguments(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The names that the chat template reads and that a user may set; empty where it is none that can be parsed."""
    if tokenizer.chat_template is None:
        return set()
    try:
        read = chat_template_utils._get_template_variables(tokenizer.get_chat_template())
    except Exception:  # a template that is none is refused where it is used
        return set()
    return set(read) - _OWN - set(tokenizer.special_tokens_map)


def turn(tokenizer: PreTrainedTokenizerBase, problem: Problem, before: Turns = (), arguments: Arguments = NONE) -> str:
    """The problem as the user's turn behind the turns before it, up to where the assistant's begins, under the chat
    template with these arguments.

    Raises:
        ConfigError: the template refuses it.
    """
    messages = [{"role": role, "content": said} for role, said in problem.chat(before)]
    try:
        text = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **{CLOCK: TODAY.strftime, **arguments}
        )
    except Exception as error:  # a template may raise what it likes
        raise ConfigError(
            f"model={tokenizer.name_or_path}: its chat template refuses the prompt of {problem.id}: "
            f"{brief_error(error)}; {MEND}"
        ) from None
    assert isinstance(text, str), "without tokenize a template gives text"
    return text


def encode(tokenizer: PreTrainedTokenizerBase, problem: Problem, arguments: Arguments = NONE) -> Prompt:
    """The problem's turn as token ids; plain text without a template."""
    return _encoded(tokenizer, problem, _text(tokenizer, problem, (), arguments))


def _text(tokenizer: PreTrainedTokenizerBase, problem: Problem, before: Turns, arguments: Arguments) -> str:
    if tokenizer.chat_template is None:
        return "\n\n".join(said for _, said in problem.chat(before))
    return turn(tokenizer, problem, before, arguments)


def _encoded(tokenizer: PreTrainedTokenizerBase, problem: Problem, text: str, before: Turns = ()) -> Prompt:
    """A template has the special tokens in its text."""
    ids = tokenizer(text, add_special_tokens=tokenizer.chat_template is None)["input_ids"]
    return Prompt(problem, ids, before=before)


def encode_fitting(
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    max_prompt_tokens: int,
    before: Turns = (),
    arguments: Arguments = NONE,
) -> tuple[list[Prompt], list[str]]:
    """The problems that fit into ``max_prompt_tokens``, and the ids of those that do not.

    Raises:
        ConfigError: none fits, or what the policy would be shown is not what was asked.
    """
    prompts = [_shown(tokenizer, problem, before, arguments) for problem in problems]
    _check_ids(tokenizer, prompts)
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


def _shown(tokenizer: PreTrainedTokenizerBase, problem: Problem, before: Turns, arguments: Arguments) -> Prompt:
    """As ``encode``, of a template that shows the question, and what stands before it, as it is."""
    text = _text(tokenizer, problem, before, arguments)
    hidden = next(((role, said) for role, said in problem.chat(before)[:-1] if said.strip() not in text), None)
    if hidden is not None:
        own = hidden in problem.turns
        place, mend = (
            ("task.system, task.examples", "leave these settings out")
            if not own
            else (f"a turn of {problem.id}", "mend the row")
        )
        raise ConfigError(
            f"model={tokenizer.name_or_path}: its chat template leaves out {hidden[1][:60]!r} ({place}); {mend}, or "
            f"{MEND}"
        )
    if problem.prompt.strip() not in text:
        raise ConfigError(
            f"model={tokenizer.name_or_path}: its chat template leaves out the prompt of {problem.id}, or changes it "
            f"(does it want the content in parts?); {MEND}"
        )
    return _encoded(tokenizer, problem, text, before)


def _check_ids(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> None:
    """Refuse token ids that do not hold what was asked, or that end what the policy is to begin."""
    end = tokenizer.eos_token_id
    ended = [prompt for prompt in prompts if prompt.token_ids and prompt.token_ids[-1] == end]
    if ended:
        mend = "set add_eos_token=false in its tokenizer_config.json" if tokenizer.chat_template is None else MEND
        raise ConfigError(
            f"model={tokenizer.name_or_path}: {_rows(ended, len(prompts))} end with the model's end token "
            f"{tokenizer.eos_token}, so there is nothing to answer; {mend}"
        )
    lost = [prompt for prompt in prompts if not _holds(tokenizer, prompt)]
    if lost:
        back = tokenizer.decode(lost[0].token_ids, clean_up_tokenization_spaces=False)
        raise ConfigError(
            f"model={tokenizer.name_or_path}: its tokenizer gives back another text for {_rows(lost, len(prompts))}, "
            f"the first as {back[:80]!r}; see that the folder has its tokenizer's files, or remove the rows"
        )


def _rows(prompts: Sequence[Prompt], total: int) -> str:
    ids = [prompt.problem.id for prompt in prompts]
    return f"{len(ids)} of {total} prompts ({', '.join(ids[:NAMED])}{', ...' if len(ids) > NAMED else ''})"


def _holds(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> bool:
    """Whether the text of the ids has the question in it, up to what tokenizers are free to change."""
    asked, text = prompt.problem.prompt.strip(), tokenizer.decode(prompt.token_ids, clean_up_tokenization_spaces=False)
    return asked in text or _letters(asked) in _letters(text)


def _letters(text: str) -> str:
    """The text less its case, white space and invisible characters, in one of the forms that Unicode has for it."""
    whole: Iterable[str] = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in whole if character.isprintable() and character not in " ▁")
