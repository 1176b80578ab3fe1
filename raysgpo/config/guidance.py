"""Settings of guidance: a prefix of the true reasoning in some rollouts."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raysgpo.config.section import Section


class GuidanceConfig(Section):
    """A prefix of the true reasoning in some rollouts of each group (G2RPO-A, arXiv 2508.13023, section 4)."""

    presets: ClassVar = {
        "none": {"schedule": "none"},
        "guided": {"schedule": "fixed"},
        "rdp": {"schedule": "linear"},
        "g2rpo_a": {"schedule": "adaptive"},
    }

    schedule: Literal["none", "fixed", "linear", "concave", "stepwise", "adaptive"] = "none"
    """How the length l goes with the steps (eq. 4); ``adaptive`` follows the rewards (eq. 5); ``none``: no guidance."""
    ratio: float = Field(0.25, ge=0, le=1)
    """alpha: in a group of G the first floor(alpha G + 1/2) rollouts are guided, the others free."""
    length: int | None = Field(None, ge=1)
    """l0, tokens of the trajectory at the first step; None takes ``guidance.max_length``."""
    min_length: float = Field(1.0, ge=1)
    """adaptive: l is never shorter."""
    max_length: int | None = Field(None, ge=1)
    """adaptive: l is never longer; None takes the longest prefix that any trajectory may give, at most three
    quarters of ``sampling.max_tokens``."""
    window: int = Field(2, ge=1)
    """adaptive: W, the earlier steps whose mean reward a step's is compared with [paper: 2]."""
    max_change: float | None = Field(2.0, gt=1)
    """adaptive: one step multiplies or divides l by at most this; a step without any reward multiplies by it. None: by
    anything, and such a step goes to ``guidance.max_length``."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """adaptive: s of r_k <- s r_(k-1) + (1 - s) r_k. In noise l drifts upwards, and less so with a smoother r."""
    adapt_every: int = Field(1, ge=1)
    """adaptive: steps from one change of l to the next [paper: 1; its code: 3]."""
    signal: Literal["reward", "accuracy"] = "reward"
    """adaptive: what r_k is the mean of, the rewards [paper] or the right answers; below 0 it counts as 0."""
    signal_of: Literal["all", "unguided"] = "all"
    """adaptive: whose mean r_k is, that of all rollouts of the step [paper] or of the unguided ones."""
    decay_steps: int | None = Field(None, ge=1)
    """linear, concave: T, the steps after which l is 0; None: the last step of the run has 0."""
    power: float = Field(2.0, gt=1)
    """concave: b of l0 (1 - t/T)^b."""
    factor: float = Field(0.5, gt=0, lt=1)
    """stepwise: what l is multiplied with every ``guidance.every`` steps."""
    every: int = Field(10, ge=1)
    """stepwise: s, steps between two cuts."""
    placement: Literal["answer", "prompt"] = "answer"
    """``answer``: behind the start of the assistant's turn, inside its thinking if the template has one; ``prompt``:
    at the end of the user's turn, the naive contrast."""
    max_fraction: float = Field(0.8, gt=0, le=1)
    """At most this share of a trajectory's tokens is given; the steps that state the answer never are."""
    loss_weight: float = Field(0.0, ge=0)
    """w_g, loss weight of the guidance's tokens: 0 trains on the policy's own tokens alone, 1 is the paper's code."""

    @property
    def on(self) -> bool:
        return self.schedule != "none"


def impossible_guidance(guidance: GuidanceConfig, max_tokens: int) -> str | None:
    """What cannot work among the settings. ``max_tokens``: the longest answer, guidance included."""
    if not guidance.on:
        return None
    for name, length in (("length", guidance.length), ("max_length", guidance.max_length)):
        if length is not None and length >= max_tokens and guidance.placement == "answer":
            return (
                f"guidance.{name}={length} leaves nothing to sample: a guided answer has at most "
                f"sampling.max_tokens={max_tokens} tokens, guidance included; set guidance.{name} below "
                f"{max_tokens}, or raise sampling.max_tokens"
            )
    if guidance.schedule == "adaptive":
        return _impossible_limits(guidance)
    return None


def _impossible_limits(guidance: GuidanceConfig) -> str | None:
    length, longest = guidance.length, guidance.max_length
    if longest is not None and guidance.min_length > longest:
        return f"guidance.min_length={guidance.min_length:g} exceeds guidance.max_length={longest}: lower it"
    if length is not None and longest is not None and length > longest:
        return f"guidance.length={length} exceeds guidance.max_length={longest}: lower it, or raise the limit"
    if length is not None and length < guidance.min_length:
        return f"guidance.length={length} is below guidance.min_length={guidance.min_length:g}: raise it"
    if guidance.signal_of == "unguided" and guidance.ratio == 1:
        return (
            "guidance.signal_of=unguided with guidance.ratio=1: no rollout is unguided, so the length would never "
            "change; set guidance.signal_of=all, or lower guidance.ratio"
        )
    return None
