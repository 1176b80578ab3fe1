"""How the losses of many tokens become one number: a weight a token and one denominator a step.

Shape legend: _T sampled tokens of a rollout.

With l the loss of a token and m its loss weight (0 for prompt and guidance), every mode is

    L = sum over all tokens of w l / D

where w is stamped on the token and D is one number, counted once for the whole optimizer step. So
cutting a step into micro-batches or over ranks cannot change the gradient: each part adds its sum of
w l and divides by the same D.

| mode             | w             | D                      | this is                                      |
|------------------|---------------|------------------------|----------------------------------------------|
| token-mean       | m             | sum of m over the step | mean over all tokens (DAPO, verl)            |
| sequence-mean    | m / sum_seq m | sequences              | mean over tokens, then over sequences (GRPO) |
| group-token-mean | m / sum_grp m | groups                 | mean over a group's tokens, then over groups |
| constant         | m             | sequences x max_tokens | Dr. GRPO: no length in the weight of a token |

Sequences and groups in which every m is 0 have no mean: ``sequence-mean`` and ``group-token-mean``
do not count them. ``constant`` counts every sequence it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
Float_T = NDArray[np.float64]
Groups = Sequence[Sequence[FloatArray]]
"""groups[p][g] is the loss weight m of every token of rollout g of group p, [T]."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """The stamped weights w, as ``weights[p][g]`` [T] float64, and the denominator D of the step.

    ``D`` is 0 if no token carries loss; such a step makes no update.
    """

    weights: tuple[tuple[Float_T, ...], ...]
    denominator: float


def aggregate(mode: str, loss_weights: Groups, max_tokens: int) -> Aggregation:
    """Weights and denominator of one optimizer step.

    ``loss_weights`` holds the groups that the step trains on (dropped ones left out); ``max_tokens``
    is the longest answer that sampling allows, used by ``constant`` alone.
    """
    assert mode in MODES, f"aggregation {mode!r} is none of {', '.join(MODES)}"
    return MODES[mode](loss_weights, max_tokens)


def _token_mean(groups: Groups, max_tokens: int) -> Aggregation:
    return Aggregation(_divided(groups, lambda group, m_T: 1.0), sum(_total(group) for group in groups))


def _sequence_mean(groups: Groups, max_tokens: int) -> Aggregation:
    weights = _divided(groups, lambda group, m_T: _total([m_T]))
    return Aggregation(weights, float(sum(_total([m_T]) > 0 for group in groups for m_T in group)))


def _group_token_mean(groups: Groups, max_tokens: int) -> Aggregation:
    weights = _divided(groups, lambda group, m_T: _total(group))
    return Aggregation(weights, float(sum(_total(group) > 0 for group in groups)))


def _constant(groups: Groups, max_tokens: int) -> Aggregation:
    assert max_tokens > 0, "constant aggregation divides by max_tokens, so it must be positive"
    sequences = sum(len(group) for group in groups)
    return Aggregation(_divided(groups, lambda group, m_T: 1.0), float(sequences * max_tokens))


MODES: Mapping[str, Callable[[Groups, int], Aggregation]] = {
    "token-mean": _token_mean,
    "sequence-mean": _sequence_mean,
    "group-token-mean": _group_token_mean,
    "constant": _constant,
}


def _total(sequences: Sequence[FloatArray]) -> float:
    return float(sum(np.sum(m_T, dtype=np.float64) for m_T in sequences))


def _divided(
    groups: Groups, divisor: Callable[[Sequence[FloatArray], FloatArray], float]
) -> tuple[tuple[Float_T, ...], ...]:
    """m / divisor(group, sequence) for every token; a divisor of 0 leaves the zeros as they are."""
    return tuple(
        tuple(np.asarray(m_T, dtype=np.float64) / (divisor(group, m_T) or 1.0) for m_T in group) for group in groups
    )
