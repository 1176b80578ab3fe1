"""What a wrong answer is worth: the Reasoning Trajectory Score and SGPO's eq. 2 (arXiv 2505.11595)::

    r = 1                                        if the final answer is right
    r = scale / (1 + exp(-beta (RTS - gamma)))   otherwise

Difference from the paper: it prints gamma = 10 and beta = 0.5. Read literally, every wrong answer
would lie in [0.0067, 0.0110], and dividing by the group's std would leave little but the raw RTS.
We invert the two: beta = 10 is the intensity, gamma = 0.5 the threshold. ``scale`` is 1 in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_BELOW_ONE = math.nextafter(1.0, 0.0)
"""The largest float64 under 1: a wrong answer is never worth a right one, whatever beta is."""


def trajectory_score(first_error: int | None, lengths_N: Sequence[int], *, truncated: bool) -> float:
    """RTS: the share of the reasoning that stands before the first wrong step, in [0, 1].

    Section 3.1: "the ratio of the valid segment length to the total trajectory length".

    ``lengths_N`` is how long each step is: 1, so that steps are counted, or its tokens; 0 for one that was given, so
    that it earns nothing. ``first_error`` is 0-based, None if the judge found no error. Then a response that was cut
    off is true but unfinished, RTS 1; one that ended on a wrong answer must have erred in its last step. A response
    without any length has RTS 0.
    """
    assert first_error is None or 0 <= first_error < len(lengths_N), (
        f"first error {first_error} lies outside of the {len(lengths_N)} steps"
    )
    total = sum(lengths_N)
    if total == 0:
        return 0.0
    if first_error is None:
        first_error = len(lengths_N) if truncated else len(lengths_N) - 1
    return sum(lengths_N[:first_error]) / total


def partial_credit(
    rts: float, *, kind: str = "sgpo", beta: float = 10.0, gamma: float = 0.5, scale: float = 1.0
) -> float:
    """The correctness reward of a wrong answer with this RTS: rising in RTS, in [0, scale), float64.

    ``kind`` is ``sgpo`` (the sigmoid of eq. 2), ``raw`` (the RTS itself, capped below 1: the paper's
    ablation without beta and gamma) or ``none`` (0).
    """
    assert 0 <= rts <= 1, f"an RTS lies in [0, 1], got {rts}"
    if kind == "none":
        return 0.0
    if kind == "raw":
        return scale * min(rts, _BELOW_ONE)
    assert kind == "sgpo", f"partial credit {kind!r} is none of none, sgpo, raw"
    return scale * min(_sigmoid(beta * (rts - gamma)), _BELOW_ONE)


def _sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow for any x."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))
