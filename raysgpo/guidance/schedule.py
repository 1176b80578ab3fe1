"""How many tokens of the true reasoning are given: eq. 4 and eq. 5 of G2RPO-A (arXiv 2508.13023).

Lengths are kept as floats and rounded at use: rounded on the way, small ones would never move again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Mean = float | None
"""Mean reward r_k of a step; None where the step had no rollout to measure."""


def guided_count(ratio: float, group_size: int) -> int:
    """floor(alpha G + 1/2), the number of guided rollouts of a group (eq. 3)."""
    assert 0 <= ratio <= 1, f"alpha lies in [0, 1], got {ratio}"
    return math.floor(ratio * group_size + 0.5)


def rounded(length: float) -> int:
    """A whole number of tokens, halves up."""
    return math.floor(length + 0.5)


def linear(length: float, step: int, steps: int) -> float:
    """l0 (1 - t/T): the rule-based decay (RDP) of Tables 10 and 11. 0 from step T on."""
    return concave(length, step, steps, power=1.0)


def concave(length: float, step: int, steps: int, power: float) -> float:
    """l0 (1 - t/T)^b with b > 1; the name is the paper's, the curve lies below the line."""
    assert step >= 0 and steps >= 1, f"step {step} of {steps}"
    return float(length * max(0.0, 1 - step / steps) ** power)


def stepwise(length: float, step: int, factor: float, every: int) -> float:
    """l0 g^floor(t/s)."""
    assert step >= 0 and every >= 1, f"step {step}, a cut every {every}"
    return float(length * factor ** (step // every))


def adapted(
    length: float, means: Sequence[Mean], *, window: int, shortest: float, longest: float, max_change: float
) -> float:
    """l_{k+1} from l_k and the mean rewards r_1 ... r_k (eq. 5)::

        l_{k+1} = l_k * mean(r_{k-1} ... r_{k-W}) / r_k, clamped to [shortest, longest]

    Differences from the paper: it prints the ratio the other way up, against its own text ("when recent
    rewards rise, l is reduced") and its code; we follow the text. One step multiplies or divides l by
    ``max_change`` at most (infinite: by anything). r_k = 0 is the limit of a small one, the largest change there is:
    guidance is needed most where nothing succeeds. With no earlier step, or none that was measured, l stays.

    l = 1000 and r = .2, .4, .5 with W = 2 give 1000 * .3 / .5 = 600.
    """
    assert 1 <= shortest <= longest, f"a length within [{shortest}, {longest}]"
    assert max_change > 1, f"a length that may not change: at most a factor {max_change}"
    earlier = [max(mean, 0.0) for mean in means[:-1] if mean is not None][-window:]
    if not earlier or means[-1] is None:
        return length
    now = max(means[-1], 0.0)
    quotient = math.fsum(earlier) / len(earlier) / now if now > 0 else math.inf
    changed = length * min(max(quotient, 1 / max_change), max_change)
    return float(min(max(changed, shortest), longest))


def smoothed(means: Sequence[Mean], smoothing: float) -> list[Mean]:
    """r_k <- s r_{k-1} + (1 - s) r_k over the steps that were measured. Eq. 5 rises in noise, since 1 / r is convex;
    a smoother r drifts less, and follows later."""
    assert 0 <= smoothing < 1, f"a share of what was before, got {smoothing}"
    found: list[Mean] = []
    last: Mean = None
    for mean in means:
        if mean is not None:
            last = mean if last is None else smoothing * last + (1 - smoothing) * mean
        found.append(last if mean is not None else None)
    return found
