"""The learning rate of a step: a function of the step alone, so there is no state to save."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def learning_rate(step: int, peak: float, warmup_steps: int, schedule: Schedule, total_steps: int) -> float:
    """The learning rate of update ``step`` = 0 ... total_steps - 1.

    Warm-up: step 0 takes peak / warmup_steps and step warmup_steps - 1 the peak. Then linear and
    cosine fall from the peak towards 0, which they would reach at ``total_steps``: the last step
    still moves the policy.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant":
        return peak
    fallen = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    if schedule == "linear":
        return peak * (1 - fallen)
    return peak * 0.5 * (1 + math.cos(math.pi * fallen))
