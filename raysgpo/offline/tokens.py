"""The tokens of recorded responses: those of the record, held against the model's tokenizer, or new ones.

Ids of another tokenizer would be other words, and a text that does not come back from its ids would be trained on as
something that nobody said. Both are errors that name the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from raysgpo.offline.groups_file import row_of
from raysgpo.policy.prompts import NONE, Arguments, encode
from raysgpo.policy.text_ends import UNFINISHED, text_ends
from raysgpo.records import Group, Int_T, Role, Rollout, Segment


def with_tokens(
    groups: Sequence[Group],
    tokenizer: PreTrainedTokenizerBase,
    path: str,
    longest: int | None = None,
    arguments: Arguments = NONE,
) -> list[Group]:
    """The groups with token ids for every response, and where in the text each stands; new ones have logprobs of NaN.

    A response that ended has the end-of-sequence token as its last, and guidance at its start carries no loss.
    ``longest``: tokens that the model takes. ``arguments``: of the chat template.

    Raises:
        ValueError: ids and text, or prompt and ids, do not belong together under this tokenizer, or a response is
            too long; the message names ``path`` and the row.
    """
    return [_with_tokens(group, tokenizer, row_of(path, group), longest, arguments) for group in groups]


def _with_tokens(
    group: Group, tokenizer: PreTrainedTokenizerBase, where: str, longest: int | None, arguments: Arguments
) -> Group:
    prompt_ids = encode(tokenizer, group.problem, arguments).token_ids
    rollouts = []
    for index, rollout in enumerate(group.rollouts_G):
        place = f"{where}, response {index + 1}"
        if rollout.segments:
            _check_ids(rollout, prompt_ids, tokenizer, place)
        else:
            rollout = replace(rollout, segments=_segments(rollout, prompt_ids, tokenizer, place))
        rollout = replace(rollout, text_ends_T=_text_ends(rollout, tokenizer))
        tokens = sum(len(segment.token_ids_T) for segment in rollout.segments)
        if longest is not None and tokens > longest:
            raise ValueError(f"{place}: {tokens} tokens with its prompt, and the model takes {longest}: remove the row")
        rollouts.append(rollout)
    return group.with_rollouts(rollouts)


def _text_ends(rollout: Rollout, tokenizer: PreTrainedTokenizerBase) -> Int_T | None:
    *given, sampled = rollout.segments
    if len(sampled.token_ids_T) != rollout.num_tokens:
        return None  # what was put between two sampled parts is no text of its own
    before = [token for segment in given for token in segment.token_ids_T.tolist()]
    return text_ends(tokenizer, before, sampled.token_ids_T.tolist(), rollout.text[rollout.guidance_characters :])


def _check_ids(rollout: Rollout, prompt_ids: list[int], tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    fix = "remove 'segments' from the file and the texts are tokenized anew, or set the model that sampled it"
    ids = [token for segment in rollout.segments for token in segment.token_ids_T.tolist()]
    if min(ids) < 0 or max(ids) >= len(tokenizer):
        raise ValueError(f"{where}: token id {max(ids)}, and the model's tokenizer has {len(tokenizer)}: {fix}")
    asked = [token for s in rollout.segments if s.role is Role.PROMPT for token in s.token_ids_T.tolist()]
    if asked != prompt_ids:
        raise ValueError(
            f"{where}: the prompt's token ids are not those of the model's tokenizer and chat template "
            f"(task.chat_template_kwargs): {fix}"
        )
    answer = [token for s in rollout.segments if s.role is not Role.PROMPT for token in s.token_ids_T.tolist()]
    free = [token for s in rollout.segments if s.role is Role.COMPLETION for token in s.token_ids_T.tolist()]
    said = [tokenizer.decode(part, skip_special_tokens=True) for part in (answer, free)]
    # A response ends before the stop string that its last tokens spell.
    if not any(text.startswith(rollout.text.rstrip(UNFINISHED)) for text in said):
        raise ValueError(f"{where}: its token ids spell another text under the model's tokenizer: {fix}")


def _segments(
    rollout: Rollout, prompt_ids: list[int], tokenizer: PreTrainedTokenizerBase, where: str
) -> tuple[Segment, ...]:
    given, said = rollout.text[: rollout.guidance_characters], rollout.text[rollout.guidance_characters :]
    hint, ids = (list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (given, said))
    if tokenizer.decode([*hint, *ids], skip_special_tokens=True).strip() != rollout.text.strip():
        raise ValueError(
            f"{where}: the text does not come back from its token ids under the model's tokenizer (a special token "
            "in it, or a character that it does not know): remove the row, or take the model that sampled it"
        )
    if not rollout.truncated:
        ids = [*ids, int(tokenizer.eos_token_id)]
    if not ids:
        raise ValueError(f"{where}: an empty response that was cut off has no token: remove the row")
    unknown_T = np.full(len(ids), np.nan, dtype=np.float32)
    sampled = Segment.sampled(np.array(ids, dtype=np.int32), unknown_T)
    guidance = [Segment.given(Role.GUIDANCE, hint)] if hint else []
    return (Segment.given(Role.PROMPT, prompt_ids), *guidance, sampled)
