"""How long the reasoning steps of an answer are: what of them was given, and the policy's own tokens in each.

Shape legend: _N reasoning steps, _T sampled tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np

from raysgpo.config.presets import Length
from raysgpo.records import Rollout


def measured(rollout: Rollout, steps: Sequence[str]) -> Rollout:
    """The rollout with ``reasoning_steps``, ``given_steps`` and ``step_tokens``. The steps joined are its text.

    A token belongs to the step in which its text begins, and one behind the text (the end of the turn) to the last
    step. Where nobody tells what each token says, a count for so many steps stands, and without one the tokens are
    shared out by the steps' UTF-8 bytes.
    """
    tokens = rollout.step_tokens
    if not steps:
        tokens = ()
    elif rollout.text_ends_T is not None:
        tokens = _by_place(rollout, steps)
    elif tokens is None or len(tokens) != len(steps):
        tokens = _by_bytes(rollout, steps)
    given = given_steps(steps, rollout.guidance_characters)
    return replace(rollout, reasoning_steps=len(steps), given_steps=given, step_tokens=tokens)


def lengths(rollout: Rollout, by: Length) -> list[int]:
    """(N,) of a measured rollout: 1, or the sampled tokens, for each step; 0 for those given."""
    assert rollout.given_steps is not None and rollout.step_tokens is not None, "its steps were measured"
    free = rollout.step_tokens[rollout.given_steps :]
    return [0] * rollout.given_steps + (list(free) if by == "tokens" else [1] * len(free))


def given_steps(steps: Sequence[str], characters: int) -> int:
    """How many of the reasoning steps lie wholly within the first ``characters`` of their text: those given.

    A step that the policy finished is its own.
    """
    return sum(end <= characters for end in accumulate(len(step) for step in steps))


def _by_place(rollout: Rollout, steps: Sequence[str]) -> tuple[int, ...]:
    ends_T, ends_N = rollout.text_ends_T, np.cumsum([len(step) for step in steps])
    assert ends_T is not None and len(ends_T) == rollout.num_tokens, "a place in the text for each sampled token"
    starts_T = rollout.guidance_characters + np.concatenate([[0], ends_T])[:-1]
    place_T = np.minimum(np.searchsorted(ends_N, starts_T, side="right"), len(steps) - 1)
    return tuple(np.bincount(place_T, minlength=len(steps)).tolist())


def _by_bytes(rollout: Rollout, steps: Sequence[str]) -> tuple[int, ...]:
    """Whole tokens: after each step as many as its share of the policy's own bytes until there, rounded down."""
    starts = accumulate((len(step) for step in steps), initial=0)
    own = [step[max(0, rollout.guidance_characters - start) :] for start, step in zip(starts, steps, strict=False)]
    until = list(accumulate(len(part.encode("utf-8", "surrogatepass")) for part in own))
    tokens = rollout.num_tokens
    shares = [tokens * end // max(until[-1], 1) for end in until[:-1]]
    return tuple(b - a for a, b in pairwise([0, *shares, tokens]))
