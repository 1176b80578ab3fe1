"""The part of a problem's true reasoning that may be given, and prefixes of it.

Shape legend: _T tokens of the trajectory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysgpo.records import Hint

SPLITS = -1
"""In ``ends_T``: a cut behind this token would split a character."""


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """``Trajectory([51, 43, 52], [1, 2, 3], "3+4", at=9)``: the bytes of "3+4" behind a prompt of nine tokens."""

    token_ids_T: NDArray[np.int32]
    """The tokenizer's ids of the reasoning, as far as it may be given."""
    ends_T: NDArray[np.int32]
    """Characters of ``text`` up to the end of each token, or ``SPLITS``."""
    text: str
    at: int
    """The place in the prompt's ids where the guidance stands; their number: behind them."""
    in_answer: bool = True
    """False: it belongs to the prompt, so neither to the graded text nor to the length of the answer."""
    opener_ids: tuple[int, ...] = ()
    """What opens the thinking and is given before it, beside the ``length`` asked for."""
    opener: str = ""

    def hint(self, length: int, rollouts: int) -> Hint | None:
        """The first ``length`` tokens for so many rollouts, fewer if there are no more or a character would be split.

        None where nothing is left to give.
        """
        clean = np.flatnonzero(self.ends_T[: max(length, 0)] != SPLITS)
        if not len(clean) or not rollouts:
            return None
        count = int(clean[-1]) + 1
        text = self.opener + self.text[: self.ends_T[count - 1]] if self.in_answer else ""
        return Hint(
            token_ids=[*self.opener_ids, *self.token_ids_T[:count].tolist()],
            text=text,
            at=self.at,
            in_answer=self.in_answer,
            rollouts=rollouts,
        )


def characters_before_answer(steps: Sequence[str], answer: str) -> int:
    """Characters of the reasoning steps that come before the answer.

    The last step is the answer, and so are the steps right before it that state the same: of
    ``3+4=7 / 7-2=5 / #### 5`` only the first line is left.
    """
    kept = max(len(steps) - 1, 0)
    while kept and _states(steps[kept - 1], answer):
        kept -= 1
    return sum(len(step) for step in steps[:kept])


def may_be_given(ends_T: NDArray[np.int32], characters: int, max_fraction: float, room: int) -> int:
    """Number of tokens that may be given: within ``characters``, the share ``max_fraction`` and ``room`` tokens.

    The last of them never splits a character.
    """
    most = min(int(max_fraction * len(ends_T)), max(room, 0))
    clean = np.flatnonzero((ends_T[:most] != SPLITS) & (ends_T[:most] <= characters))
    return int(clean[-1]) + 1 if len(clean) else 0


def _states(step: str, answer: str) -> bool:
    """Does the answer stand in the step by itself, and not within a longer word or number?"""
    return re.search(rf"(?<![\w.]){re.escape(answer)}(?!\w|\.\d)", step) is not None
