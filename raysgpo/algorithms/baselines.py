"""What a reward is compared with: one row a baseline, and all that the rest of the system knows of it.

Shape legend: _G rollouts that are compared with one another (the last axis); any axes before it, such as
_P groups, are treated alike and apart.

A new baseline is a row here and a row of the table in docs/algorithms.md: the settings accept its name, the
checks, the rules of which groups are kept, and the stages read what it says of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float_G = NDArray[np.float64]
Bool_G = NDArray[np.bool_]

BaselineFn = Callable[[Float_G, Bool_G, float], Float_G]
"""(rewards [..., G], who takes part [..., G], R_min_correct) -> b, broadcastable to [..., G]."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """One way to say what a reward is compared with."""

    value: BaselineFn
    summary: str
    """b in words, as the docs have it."""
    source: str = ""
    """Where it comes from."""
    threshold: bool = False
    """Whether it compares the correctness part with R_min_correct, and so promises a failed answer A < 0."""
    over: Literal["group", "step"] = "group"
    """Whose rewards it sees: those of a group, or of all groups of an optimizer step."""
    alone: str | None = None
    """What it does to a group of one, which is refused for it; None where an answer needs no others beside it."""

    @property
    def within_group(self) -> bool:
        """Whether an answer is compared with the others of its group."""
        return self.alone is not None

    @property
    def equal_is_zero(self) -> bool:
        """Whether a group whose rewards agree has no signal: nothing but the group is looked at."""
        return self.within_group and not self.threshold

    @property
    def learns_from_equal(self) -> bool:
        """Whether a group whose answers all failed alike is pushed down: it is compared with more than itself."""
        return self.threshold or self.over == "step"


def mean(rewards_G: Float_G, part_G: Bool_G, r_min_correct: float = 0.0) -> Float_G:
    """Held within the rewards that it is the mean of: rounding must not take the mean of equal
    rewards away from them, or dividing by eps would blow the difference up."""
    count = np.maximum(part_G.sum(axis=-1, keepdims=True), 1)
    middle = (rewards_G / count).sum(axis=-1, keepdims=True)
    low = np.where(part_G, rewards_G, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
    high = np.where(part_G, rewards_G, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    return np.asarray(np.maximum(np.minimum(middle, high), low))


def _leave_one_out(rewards_G: Float_G, part_G: Bool_G, r_min_correct: float) -> Float_G:
    """Worked out from the mean m, which is exact for equal rewards: m - (r - m) / (n - 1)."""
    middle = mean(rewards_G, part_G)
    others = np.maximum(part_G.sum(axis=-1, keepdims=True) - 1, 1)
    return np.asarray(middle - (rewards_G - middle) / others)


def _static(rewards_G: Float_G, part_G: Bool_G, r_min_correct: float) -> Float_G:
    return np.full_like(rewards_G, r_min_correct)


def _corpo(rewards_G: Float_G, part_G: Bool_G, r_min_correct: float) -> Float_G:
    return np.maximum(mean(rewards_G, part_G), r_min_correct)


def _none(rewards_G: Float_G, part_G: Bool_G, r_min_correct: float) -> Float_G:
    return np.zeros_like(rewards_G)


BASELINES: dict[str, Baseline] = {
    "mean": Baseline(mean, "mean of the group", "GRPO", alone="gives every answer an advantage of zero"),
    "leave_one_out": Baseline(
        _leave_one_out, "mean of the others", "RLOO", alone="leaves nothing to compare an answer with"
    ),
    "static": Baseline(_static, "`r_min_correct`", "CoRPO", threshold=True),
    "corpo": Baseline(
        _corpo,
        "the larger of `r_min_correct` and the mean",
        "CoRPO",
        threshold=True,
        alone="never gives a positive advantage",
    ),
    "step_mean": Baseline(mean, "mean of all groups of the step", "REINFORCE", over="step"),
    "none": Baseline(_none, "0"),
}
"""Sources: GRPO arXiv 2402.03300, RLOO arXiv 2402.14740, CoRPO arXiv 2511.04439, REINFORCE Williams 1992."""
