"""One advantage a step in the place of one an answer, where a judge said which step is the first wrong one.

Shape legend: _G answers of a group that have a verdict, _N steps of an answer.

    answer i has n_i steps and the advantage A_i; its step e_i is the first wrong one, e_i = n_i if none is

    prefix    a_ij = max(A_i, 0) for j < e_i, min(A_i, 0) from e_i on
    split     a_ij = w_(j+1) - w_j for j < e_i, A_i - w_e for j = e_i, 0 behind it

    w_0 = 0   w_j = max(w_(j-1), mean of the A of the answers that are right up to step j)

``w`` is what an answer that got so far may expect: the group's mean, taken again at each step over those that are left,
and ``split`` is the difference that each step makes to it (a TD error with a Monte Carlo value, Sutton and Barto,
chapter 6). Where ``w_e`` lies below A_i it is A_i for this answer: what it has more than the others goes to its last
right step, and not to the wrong one behind it.

Neighbour: VPPO (arXiv 2601.18984) rewards the steps before the first error, and punishes from it on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float_N = NDArray[np.float64]
Float_G = NDArray[np.float64]
Int_G = NDArray[np.int64]


def prefix(advantage: float, error: int, steps: int) -> Float_N:
    """(N,): a right step is not pushed down, and one from the first error on is not reinforced."""
    return np.where(np.arange(steps) < error, max(advantage, 0.0), min(advantage, 0.0))


def split(advantages_G: ArrayLike, errors_G: ArrayLike, steps_G: Sequence[int], *, flat: bool = False) -> list[Float_N]:
    """(N,) for each answer, with w = 0 throughout if ``flat``.

    The stamps of the steps of an answer sum to A_i, but for two kinds: one without a wrong step (to A_i, or w_n if that
    is more), and one with A_i > 0 that errs in its first step (to 0, since no step may take it). A right step has 0
    or more, the first wrong one 0 or less.
    """
    advantages_G = np.asarray(advantages_G, dtype=np.float64)
    errors_G = np.asarray(errors_G, dtype=np.int64)
    assert (errors_G >= 0).all() and (errors_G <= np.asarray(steps_G)).all(), "the first wrong step is one of them"
    line = np.zeros(errors_G.max(initial=0) + 1) if flat else _line(advantages_G, errors_G)
    return [
        _split(float(advantage), int(error), steps, line)
        for advantage, error, steps in zip(advantages_G, errors_G, steps_G, strict=True)
    ]


def _line(advantages_G: Float_G, errors_G: Int_G) -> NDArray[np.float64]:
    """w_0, w_1, ... up to the farthest first error."""
    places = np.arange(errors_G.max(initial=0) + 1)
    left = errors_G[None, :] >= places[:, None]
    means = np.where(left, advantages_G, 0.0).sum(axis=-1) / np.maximum(left.sum(axis=-1), 1)
    means[0] = 0.0
    return np.asarray(np.maximum.accumulate(means))


def _split(advantage: float, error: int, steps: int, line: NDArray[np.float64]) -> Float_N:
    stamps_N = np.zeros(steps)
    reached = max(float(line[error]), advantage) if error > 0 else 0.0
    stamps_N[:error] = np.diff(line[:error], append=reached)
    if error < steps:
        stamps_N[error] = min(advantage - reached, 0.0)
    return stamps_N
