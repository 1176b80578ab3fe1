"""What n answers to a question say of it: how often they are right, and their majority.

Shape legend: _Q questions, _N answers to a question, _B bootstrap resamples.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 95.0
"""Per cent of the resamples that lie within an interval."""
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?|-?\.\d{1,30}|-?\d{1,30}/\d{1,30}")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d{1,30})\}\{(\d{1,30})\}")
_DIGITS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True, slots=True)
class Voted:
    """One of the answers to a question."""

    answer: str | None
    """What it states; None: it states nothing, and has no vote."""
    correct: bool


def majority_at_k(votes_N: Sequence[Voted], k: int) -> float:
    """maj@k: the chance that the majority of k answers is right, over the n // k blocks of k answers in their order.

    Answers that say the same number, or the same text but for case and spaces, are one candidate. Of several with
    equally many votes one is drawn, so each counts with its share. A block without a vote is wrong.
    """
    assert 1 <= k <= len(votes_N), f"maj@{k} of {len(votes_N)} answers"
    blocks = [votes_N[start : start + k] for start in range(0, len(votes_N) - k + 1, k)]
    return float(np.mean([_majority(block) for block in blocks]))


def _majority(votes: Sequence[Voted]) -> float:
    """The chance that the answer with the most votes, one drawn of several such, is right."""
    keys = [None if one.answer is None else candidate(one.answer) for one in votes]
    counts = Counter(key for key in keys if key is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    first = [keys.index(key) for key, count in counts.items() if count == most]
    return sum(votes[place].correct for place in first) / len(first)


def candidate(answer: str) -> Fraction | str:
    """What equal answers have in common: the number, else the text less case, spaces and dollar signs."""
    text = "".join(answer.split()).strip("$").rstrip(".").casefold()
    plain = _FRACTION.sub(r"\1\2/\3", _DIGITS.sub("", text))
    if _NUMBER.fullmatch(plain) is None or plain.endswith("/0"):
        return text
    try:
        return Fraction(plain)
    except ZeroDivisionError:  # 1/00
        return text


def interval(values_Q: Sequence[float], seed: int) -> tuple[float, float]:
    """The bootstrap interval of the mean over questions: percentiles of the means of ``RESAMPLES`` draws of as many
    questions with replacement."""
    values: NDArray[np.float64] = np.asarray(values_Q, dtype=np.float64)
    assert len(values), "an interval of no question"
    rng = np.random.default_rng(seed)
    times_BQ = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=RESAMPLES)
    means_B = times_BQ @ values / len(values)
    low, high = np.percentile(means_B, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)
