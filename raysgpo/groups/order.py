"""Which problem stands at which position of the stream.

The order is a pure function of (seed, position) and of the problems' ranks: a resumed run sees the
problems that an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from raysgpo.seeds import derive_seed

Ranks = Callable[[int], Sequence[float] | None]
"""Epoch to the rank of each problem: lower ones come first. None: no problem comes before another."""


class Order:
    """Every epoch visits each of ``size`` problems once, from low ranks to high, equal ones in an order of its own.

    The ranks of an epoch must not change once they were asked for.
    """

    def __init__(self, size: int, seed: int, ranks: Ranks = lambda epoch: None, visits: int | None = None) -> None:
        """``visits``: an epoch ends after so many; None: after all of them."""
        assert size > 0, "an order needs at least one problem"
        self.size = size
        self.seed = seed
        self.visits = size if visits is None else visits
        assert 0 < self.visits <= size, f"an epoch visits some of {size} problems, not {visits}"
        self._ranks = ranks
        self._epoch = lru_cache(maxsize=2)(self._sorted)

    def at(self, position: int) -> tuple[int, int]:
        """Position to (epoch, index of the problem)."""
        epoch, place = divmod(position, self.visits)
        return epoch, int(self._epoch(epoch)[place])

    def _sorted(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng(derive_seed("order", self.seed, epoch))
        shuffled = generator.permutation(self.size)
        ranks = self._ranks(epoch)
        if ranks is None:
            return shuffled
        assert len(ranks) == self.size, f"a rank for each problem: {len(ranks)} for {self.size}"
        return shuffled[np.argsort(np.asarray(ranks)[shuffled], kind="stable")]


def rollout_seeds(seed: int, epoch: int, problem_id: str, group_size: int) -> tuple[int, ...]:
    """One sampling seed for each rollout of a group."""
    return tuple(derive_seed("rollout", seed, epoch, problem_id, index) for index in range(group_size))
