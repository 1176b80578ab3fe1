"""The learning rate of an update: a function of its number alone, so there is no state to save."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def learning_rate(update: int, peak: float, warmup: int, schedule: Schedule, total: int) -> float:
    """The learning rate of ``update`` = 0 ... total - 1.

    Over the first ``warmup`` updates it rises linearly: update 0 takes peak / warmup and update warmup - 1 the
    peak. Then linear and cosine fall from the peak towards 0, which they would reach at ``total``: the last
    update still moves the policy.
    """
    if update < warmup:
        return peak * (update + 1) / warmup
    if schedule == "constant":
        return peak
    fallen = min(1.0, (update - warmup) / max(1, total - warmup))
    if schedule == "linear":
        return peak * (1 - fallen)
    return peak * 0.5 * (1 + math.cos(math.pi * fallen))
