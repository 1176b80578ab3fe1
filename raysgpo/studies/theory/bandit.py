"""The bandit of section 3.2 sampled, with the project's own rewards and advantages, against the closed form.

A response has 0, 1 or 2 right steps: (1,1), (2,1) and (2,2) in the paper's words, with chances 1 - p,
p (1 - q) and p q. What an estimate of eqs. 3 and 4 needs:

- ``ddof=0``, ``eps=0``: of two unequal rewards the advantages are then +1 and -1. The sample's std
  (``ddof=1``) is larger by sqrt 2, which scales every gradient by 1 / sqrt 2.
- many groups of G = 2. One large group is another dynamic: its std is that of the policy.
- the constant denominator G H = 4 a group. (1,1) counts as two steps though nothing depends on its
  second one, whose score is 0; divided by the steps that have a score the gradient would be another.
- a softmax over two logits a step. The score of the good one is 1[good] - x and that of the bad one its
  negative, so the log-odds move by twice the gradient of the good one.

Only the order of two rewards matters to their advantages. So rewards of 0, 1/2, 1 (the paper's, the raw RTS), of
eq. 2, and partial credit in all-negative groups only have the same gradient.

Shape legend: _N groups, _G responses of a group, _H steps of a response, _R numbers of right steps 0, 1, 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from raysgpo.algorithms.advantages import group_advantages
from raysgpo.algorithms.partial_credit import partial_credit, trajectory_score
from raysgpo.studies.theory.dynamics import START, Pair, moved

Float_R = NDArray[np.float64]
Float_NH = NDArray[np.float64]
Int_NG = NDArray[np.int_]

G, H = 2, 2
PARTIAL_CREDIT = {"sgpo": "raw", "grpo": "none"}
"""Method to the kind of partial credit that is its rewards in the paper."""
_BATCH = 1 << 15
"""Groups in memory at a time; no result depends on it beyond rounding."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How far a unit step moves the log-odds of p and q, as sampled."""

    moves: Pair
    errors: Pair
    """Standard errors of ``moves``."""


def rewards(kind: str) -> Float_R:
    """The reward of 0, 1 and 2 right steps under this kind of partial credit, [3]."""
    wrong = [partial_credit(trajectory_score(first, [1] * H, truncated=False), kind=kind) for first in range(H)]
    return np.array([*wrong, 1.0])


def group_moves(p: float, q: float, right_NG: Int_NG, rewards_R: Float_R) -> Float_NH:
    """What each group says of (a_p, a_q), [N, G] numbers of right steps -> [N, H]."""
    advantages_NG = group_advantages(rewards_R[right_NG], baseline="mean", scale="group_std", ddof=0, eps=0.0)
    scores_RH = np.array([[-p, 0.0], [1 - p, -q], [1 - p, 1 - q]])
    gradients_NH = np.einsum("ng,ngh->nh", advantages_NG, scores_RH[right_NG]) / (right_NG.shape[1] * H)
    return np.asarray(2 * gradients_NH)


def estimate(method: str, p: float, q: float, groups: int, rng: Generator) -> Estimate:
    """(a_p, a_q) from ``groups`` sampled groups of 2, at least 2 of them."""
    assert groups > 1, "a standard error needs two groups"
    rewards_R = rewards(PARTIAL_CREDIT[method])
    sum_H, squares_H = np.zeros(H), np.zeros(H)
    for done in range(0, groups, _BATCH):
        moves_NH = group_moves(p, q, _sampled(p, q, min(_BATCH, groups - done), rng), rewards_R)
        sum_H += moves_NH.sum(axis=0)
        squares_H += (moves_NH**2).sum(axis=0)
    mean_H = sum_H / groups
    variance_H = np.maximum(squares_H / groups - mean_H**2, 0.0) * groups / (groups - 1)
    a_p, a_q = mean_H.tolist()
    error_p, error_q = np.sqrt(variance_H / groups).tolist()
    return Estimate((a_p, a_q), (error_p, error_q))


def training(method: str, groups: int, rng: Generator) -> Iterator[Pair]:
    """(p, q) at iterations 0, 1, 2, ... of training on ``groups`` sampled groups of 2 an iteration."""
    p, q = START
    while True:
        yield p, q
        a_p, a_q = estimate(method, p, q, groups, rng).moves
        p, q = moved(p, a_p), moved(q, a_q)


def relative_error(sampled: float, exact: float) -> float:
    return math.fabs(sampled / exact - 1)


def _sampled(p: float, q: float, groups: int, rng: Generator) -> Int_NG:
    first_NG = rng.random((groups, G)) < p
    second_NG = first_NG & (rng.random((groups, G)) < q)
    return np.asarray(first_NG.astype(np.int_) + second_NG)
