"""The closed form of section 3.2 of SGPO (arXiv 2505.11595), eqs. 3 and 4, and Theorem 3.3.

A response has H = 2 steps of two actions each, a group G = 2 responses. p is the chance of the good action
at step 1, q that of the good one at step 2 after a good step 1. A unit gradient step moves the log-odds
of p and q by ``a``::

    x' = x e^a / (1 - x + x e^a)

    SGPO: a_p = p (1 - p),   a_q = p^2 q (1 - q)
    GRPO: a_p = p (1 - p) q, a_q = p q (1 - q)

Shape legend: _K iterations, the start included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Float_K = NDArray[np.float64]
Pair = tuple[float, float]
"""Something of step 1 and of step 2: the chances (p, q), or the moves (a_p, a_q) of their log-odds."""

START: Pair = (0.5, 0.5)


def _sgpo(p: float, q: float) -> Pair:
    return p * (1 - p), p * p * q * (1 - q)


def _grpo(p: float, q: float) -> Pair:
    # p q first in both: then p = q stays true to the last bit.
    return p * q * (1 - p), p * q * (1 - q)


MOVES: Mapping[str, Callable[[float, float], Pair]] = {"sgpo": _sgpo, "grpo": _grpo}
"""Method to (p, q) -> (a_p, a_q)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """p and q at every iteration from the start on, float64 [K + 1] each."""

    p_K: Float_K
    q_K: Float_K

    @property
    def pq_K(self) -> Float_K:
        """The chance of a right answer."""
        return self.p_K * self.q_K

    @staticmethod
    def of(states: Iterator[Pair], steps: int) -> Curve:
        """The first ``steps + 1`` of ``states``."""
        p_K, q_K = np.array(list(islice(states, steps + 1)), dtype=np.float64).T
        return Curve(p_K, q_K)


def moved(chance: float, move: float) -> float:
    """The chance whose log-odds are higher by ``move``."""
    good = chance * math.exp(move)
    return good / (1 - chance + good)


def closed_form(method: str, start: Pair = START) -> Iterator[Pair]:
    """(p, q) at iterations 0, 1, 2, ... without end, ``method`` being a key of ``MOVES``."""
    assert method in MOVES, f"method {method!r} is none of {', '.join(MOVES)}"
    p, q = start
    while True:
        yield p, q
        a_p, a_q = MOVES[method](p, q)
        p, q = moved(p, a_p), moved(q, a_q)


@dataclass(slots=True)
class Inequality:
    """``SGPO > GRPO`` for one quantity, compared iteration by iteration, without a tolerance."""

    held: int = 0
    """Iterations in which it was true."""
    least: float = math.inf
    """The smallest SGPO - GRPO; negative or 0 where it was false."""
    least_at: int = 0
    """The iteration of that one."""

    def see(self, iteration: int, sgpo: float, grpo: float) -> None:
        self.held += sgpo > grpo
        if sgpo - grpo < self.least:
            self.least, self.least_at = sgpo - grpo, iteration


@dataclass(frozen=True, slots=True)
class TheoremCheck:
    """Theorem 3.3 (ii), ``p``, and (iii), ``pq``; and ``q``, of which it says nothing."""

    steps: int
    p: Inequality
    q: Inequality
    pq: Inequality
    sgpo: Pair
    """(p, q) at the last iteration; by (i) both tend to 1."""
    grpo: Pair

    @property
    def holds(self) -> bool:
        return self.p.held == self.pq.held == self.steps


def check_theorem(steps: int) -> TheoremCheck:
    """Compare SGPO with GRPO at iterations 1 to ``steps`` (at least 1), in float64."""
    assert steps > 0, "the theorem speaks of iterations from 1 on"
    p, q, pq = Inequality(), Inequality(), Inequality()
    sgpo = grpo = START
    both = zip(closed_form("sgpo"), closed_form("grpo"), strict=True)
    for iteration, (sgpo, grpo) in enumerate(islice(both, 1, steps + 1), start=1):
        p.see(iteration, sgpo[0], grpo[0])
        q.see(iteration, sgpo[1], grpo[1])
        pq.see(iteration, sgpo[0] * sgpo[1], grpo[0] * grpo[1])
    return TheoremCheck(steps, p, q, pq, sgpo, grpo)
