"""The true reasoning of the training problems as token ids, cut off before it gives the answer away.

Shape legend: _T tokens of a trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase

from raysgpo.config import Config, GuidanceConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.groups.prepared import Prompt
from raysgpo.guidance.schedule import guided_count
from raysgpo.guidance.trajectory import SPLITS, Trajectory, characters_before_answer, may_be_given
from raysgpo.policy.prompts import Arguments, turn
from raysgpo.records import Problem
from raysgpo.tasks.task import Task

THINK, THOUGHT = "<think>", "</think>"
IDS = "solution_ids"
"""A row's field with the token ids of its solution, as the model that wrote it counted them."""
NAMED = 5
"""How many rows a message names."""


def with_trajectories(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], task: Task, config: Config, context: int
) -> list[Prompt]:
    """The prompts with what may be given of their references. ``context``: longest prompt plus answer, tokens.

    Raises:
        ConfigError: a problem has no reference, or one in another tokenizer's ids.
    """
    if not tokenizer.is_fast:
        raise ConfigError(f"guidance needs a fast tokenizer (tokenizer.json), which model={config.model} lacks")
    missing = [prompt.problem.id for prompt in prompts if not (prompt.problem.reference or "").strip()]
    if missing:
        raise ConfigError(
            f"guidance.schedule={config.guidance.schedule} needs the true reasoning of every training problem, but "
            f"{_named(missing, len(prompts))} have no solution: add the field 'solution', remove the rows, or set "
            "guidance=none"
        )
    foreign = [prompt.problem.id for prompt in prompts if not _ids_fit(tokenizer, prompt.problem)]
    if foreign:
        raise ConfigError(
            f"{IDS} of {_named(foreign, len(prompts))} are not the ids that the tokenizer of model={config.model} "
            f"has for their solutions: another model's tokenizer made them; leave the field {IDS!r} out, so that "
            "the solution is encoded anew"
        )
    return [_with_trajectory(tokenizer, prompt, task, config, context) for prompt in prompts]


def _named(ids: Sequence[str], total: int) -> str:
    shown = ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
    return f"{len(ids)} of {total} rows ({shown})"


def _ids_fit(tokenizer: PreTrainedTokenizerBase, problem: Problem) -> bool:
    ids = problem.metadata.get(IDS)
    if ids is None:
        return True
    known = isinstance(ids, list) and all(type(i) is int and 0 <= i < len(tokenizer) for i in ids)
    return known and tokenizer.decode(ids, clean_up_tokenization_spaces=False) == problem.reference


def _with_trajectory(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, task: Task, config: Config, context: int
) -> Prompt:
    guidance, max_tokens = config.guidance, config.sampling.max_tokens
    if guidance.placement == "answer":
        behind = _behind(tokenizer, prompt, config.task.chat_template_kwargs)
        opener = _opener(tokenizer, behind)
        body = _reasoning(prompt.problem.reference or "", thinks=bool(opener) or THINK in behind)
        at, room = len(prompt.token_ids), max_tokens - 1
    else:
        head_ids, tail_ids = _around(tokenizer, prompt, config.task.chat_template_kwargs)
        prompt = replace(prompt, token_ids=[*head_ids, *tail_ids])
        opener, body = "", "\n" + _reasoning(prompt.problem.reference or "", thinks=False)
        at, room = len(head_ids), context - max_tokens - len(prompt.token_ids)
    opener_ids = _encode(tokenizer, opener)
    ids = _encode(tokenizer, body)
    ends_T, text = _ends(tokenizer, ids)
    try:
        steps = task.split(text)
    except Exception as error:  # a task may raise anything
        raise ConfigError(
            f"task.kind={config.task.kind}: the solution of {prompt.problem.id} cannot be split into reasoning steps "
            f"({type(error).__name__}: {error}): mend it, or set guidance=none"
        ) from None
    before = characters_before_answer(steps, prompt.problem.answer)
    count = may_be_given(ends_T, before, guidance.max_fraction, room - len(opener_ids))
    if not count:
        return prompt
    trajectory = Trajectory(
        token_ids_T=np.array(ids[:count], dtype=np.int32),
        ends_T=ends_T[:count],
        text=text[: ends_T[count - 1]],
        at=at,
        in_answer=guidance.placement == "answer",
        opener_ids=tuple(opener_ids),
        opener=opener,
    )
    return replace(prompt, trajectory=trajectory)


def _behind(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, arguments: Arguments) -> str:
    """What the template says behind the problem."""
    if tokenizer.chat_template is None:
        return ""
    text = turn(tokenizer, prompt.problem, prompt.before, arguments)
    return text.rpartition(prompt.problem.prompt.strip())[2]


def _around(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, arguments: Arguments) -> tuple[list[int], list[int]]:
    """The prompt up to the end of the problem, and what is behind it.

    Encoded apart, so that the guidance stands between the same ids, whether there is some or not.
    """
    if tokenizer.chat_template is None:
        return prompt.token_ids, []
    content = prompt.problem.prompt.strip()
    before, found, behind = turn(tokenizer, prompt.problem, prompt.before, arguments).rpartition(content)
    if not found:
        raise ConfigError(
            f"guidance.placement=prompt: the chat template changes the prompt of {prompt.problem.id}, so its end "
            "cannot be found; set guidance.placement=answer"
        )
    return _encode(tokenizer, before + found), _encode(tokenizer, behind)


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]] if text else []


def _opener(tokenizer: PreTrainedTokenizerBase, tail: str) -> str:
    """What begins the thinking where the template knows of one and has not begun it itself."""
    return "" if THINK in tail or THINK not in str(tokenizer.chat_template) else f"{THINK}\n"


def _reasoning(reference: str, thinks: bool) -> str:
    """What stands in the thinking, if the reference has one; its tag goes where the prompt has opened one."""
    thought = reference.partition(THOUGHT)[0]
    return thought.lstrip().removeprefix(THINK).lstrip() if thinks else thought


def _ends(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[NDArray[np.int32], str]:
    """Characters up to the end of each token, ``SPLITS`` inside a character, and the text of all."""
    pieces: list[str | None] = list(_decoded(tokenizer, ids))
    lengths_T = np.cumsum([len(piece or "") for piece in pieces], dtype=np.int32)
    split_T = np.array([piece is None for piece in pieces], dtype=np.bool_)
    return np.where(split_T, np.int32(SPLITS), lengths_T), "".join(piece or "" for piece in pieces)


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> Iterator[str | None]:
    """The text that each token adds; None where the character goes on in the next."""
    stream = DecodeStream(skip_special_tokens=False)
    for token in ids:
        yield stream.step(tokenizer.backend_tokenizer, token)


def longest_prompt(prompt: Prompt, max_length: int | None) -> int:
    """Tokens of the prompt with all guidance that may come to belong to it."""
    trajectory = prompt.trajectory
    if trajectory is None or trajectory.in_answer:
        return len(prompt.token_ids)
    return len(prompt.token_ids) + min(len(trajectory.token_ids_T), max_length or len(trajectory.token_ids_T))


def resolved_guidance(
    config: Config, prompts: Sequence[Prompt], context: int, say: Callable[[str], None]
) -> GuidanceConfig:
    """The settings with l0 and its limit filled in.

    Raises:
        ConfigError: no trajectory has anything to give, or a length does not fit the model's context.
    """
    guidance, max_tokens = config.guidance, config.sampling.max_tokens
    given = [len(prompt.trajectory.token_ids_T) for prompt in prompts if prompt.trajectory is not None]
    if not given:
        raise ConfigError(
            f"guidance.schedule={guidance.schedule}: none of the {len(prompts)} trajectories has a step to give before "
            f"its answer (guidance.max_fraction={guidance.max_fraction:g}, sampling.max_tokens={max_tokens}): "
            "take longer trajectories, or set guidance=none"
        )
    if len(given) < len(prompts):
        say(f"{len(prompts) - len(given)} of {len(prompts)} trajectories have no step before the answer: no guidance")
    if guided_count(guidance.ratio, config.sampling.group_size) == 0:
        say(
            f"guidance is off: guidance.ratio={guidance.ratio:g} of sampling.group_size={config.sampling.group_size} "
            "rounds to no rollout"
        )
    shortest = min(len(prompt.token_ids) for prompt in prompts)
    for name, length in (("length", guidance.length), ("max_length", guidance.max_length)):
        if length is not None and shortest + length + max_tokens > context and guidance.placement == "prompt":
            raise ConfigError(
                f"guidance.{name}={length}: the model takes {context} tokens, the shortest prompt has {shortest} and "
                f"an answer may have sampling.max_tokens={max_tokens}; set guidance.{name} to "
                f"{max(context - shortest - max_tokens, 0)} or less"
            )
    fitting = max_tokens * 3 // 4 if guidance.placement == "answer" else max(given)
    longest = guidance.max_length or max(min(max(given), fitting), math.ceil(guidance.min_length))
    if guidance.length is not None and (guidance.schedule != "adaptive" or guidance.length > longest):
        longest = guidance.length
    return guidance.model_copy(update={"max_length": longest, "length": guidance.length or longest})
