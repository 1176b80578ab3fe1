"""Settings from the rewards to the loss."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raysgpo.config.section import Section


class PartialCreditConfig(Section):
    """What a wrong answer is worth (SGPO, arXiv 2505.11595, eq. 2)."""

    presets: ClassVar = {
        "none": {"kind": "none"},
        "sgpo": {"kind": "sgpo"},
        "raw": {"kind": "raw"},
    }

    kind: Literal["none", "sgpo", "raw"] = "none"
    """``sgpo``: the sigmoid of eq. 2; ``raw``: the RTS itself, capped below 1; ``none``: 0."""
    groups: Literal["all_negative", "all_wrong"] = "all_negative"
    """``all_negative``: only groups without a right answer [paper]; ``all_wrong``: every wrong response."""
    beta: float = Field(10.0, gt=0)
    """Intensity of eq. 2."""
    gamma: float = Field(0.5, ge=0, le=1)
    """Threshold of eq. 2: the RTS that is worth one half."""
    scale: float = Field(1.0, gt=0, le=1)
    """Multiplies a wrong answer's reward."""


class AlgorithmConfig(Section):
    """Rewards to advantages to loss. ``algorithm=grpo`` and ``algorithm=sgpo`` are presets."""

    presets: ClassVar = {
        "grpo": {
            "baseline": "mean",
            "scale": "group_std",
            "aggregation": "token-mean",
            "partial_credit": "none",
        },
        "sgpo": {
            "baseline": "mean",
            "scale": "group_std",
            "aggregation": "token-mean",
            "partial_credit": "sgpo",
        },
    }

    baseline: Literal["mean", "none"] = "mean"
    """What a reward is compared with: the group's mean (GRPO eq. 1) or nothing."""
    scale: Literal["group_std", "none"] = "group_std"
    """What the difference is divided by."""
    std_ddof: Literal[0, 1] = 1
    """1: sample standard deviation; 0: population (the theory of SGPO section 3.2)."""
    std_eps: float = Field(1e-6, ge=0)
    """Added to the standard deviation."""
    partial_credit: PartialCreditConfig = PartialCreditConfig()
    aggregation: Literal["token-mean", "sequence-mean", "group-token-mean", "constant"] = "token-mean"
    """How token losses become one number; the denominator is counted once for the whole step."""
    clip_low: float = Field(0.2, ge=0, lt=1)
    """The ratio is clipped below at 1 - clip_low."""
    clip_high: float = Field(0.2, ge=0)
    """The ratio is clipped above at 1 + clip_high."""
    kl_coefficient: float = Field(0.0, ge=0)
    """Weight of the k3 KL estimate to the frozen starting policy; 0 loads no reference model."""
