"""The named algorithms: one table of what each sets.

Every preset sets every setting of the table, so choosing one puts back what another had set; what
the table does not name (``std_ddof``, ``kl_coefficient``, ...) stays as it is. docs/algorithms.md shows
the same table, and a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Scale = Literal["group_std", "step_std", "fixed", "none"]
Aggregation = Literal["token-mean", "sequence-mean", "group-token-mean", "constant"]
Bonus = Literal["right", "all"]
Estimator = Literal["k1", "k2", "k3"]
Denominator = Literal["trained", "sampled"]
LearnFrom = Literal["all", "right", "positive"]
CreditKind = Literal["none", "sgpo", "raw"]
CreditTo = Literal["answer", "prefix", "split"]
Length = Literal["steps", "tokens"]


@dataclass(frozen=True, slots=True)
class Credit:
    """What a preset says of partial credit."""

    kind: CreditKind = "none"
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Preset:
    """A named algorithm; what is not said is as in GRPO."""

    baseline: str = "mean"
    scale: Scale = "group_std"
    r_min_correct: float | None = None
    learn_from: LearnFrom = "all"
    surrogate: str = "clip"
    aggregation: Aggregation = "token-mean"
    clip_low: float = 0.2
    clip_high: float = 0.2
    refill: bool = False
    soft_overlong: float = 0.0
    partial_credit: Credit = Credit()

    def settings(self) -> dict[str, Any]:
        """As ``algorithm=name`` sets them."""
        return asdict(self)


PRESETS: Mapping[str, Preset] = {
    "grpo": Preset(),
    "sgpo": Preset(partial_credit=Credit("sgpo")),
    # The reward range is the task's, so static and corpo leave r_min_correct to be said.
    "static": Preset(baseline="static", scale="none"),
    "corpo": Preset(baseline="corpo", scale="none"),
    # Wrong answers are worth less than 0.5 and right ones 1: both sides of the threshold are alive.
    "sgpo_corpo": Preset(baseline="corpo", scale="none", r_min_correct=0.5, partial_credit=Credit("sgpo", 0.5)),
    "rloo": Preset(baseline="leave_one_out", scale="none"),
    "dr_grpo": Preset(scale="none", aggregation="constant"),
    # Its paper's answers have 16,384 tokens and 4,096 more in which the penalty grows.
    "dapo": Preset(clip_high=0.28, refill=True, soft_overlong=0.2),
    # The bounds of its paper: the ratio of a whole answer moves little.
    "gspo": Preset(surrogate="clip_sequence", aggregation="sequence-mean", clip_low=3e-4, clip_high=4e-4),
    # No lower bound, as in its paper; the upper one, a weight of 5, is that of ScaleRL (arXiv 2510.13786).
    "cispo": Preset(surrogate="cispo", clip_low=1.0, clip_high=4.0),
    "reinforce": Preset(baseline="step_mean", scale="none", surrogate="log_prob"),
    "positive_only": Preset(baseline="none", scale="none", learn_from="right"),
}
