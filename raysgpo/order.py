"""Which problem stands at which position of the stream.

The order is a pure function of (seed, position): a resumed run sees the problems that an
uninterrupted one would have seen.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from raysgpo.seeds import derive_seed


class ShuffledOrder:
    """Every epoch visits each of ``size`` problems once, in an order of its own."""

    def __init__(self, size: int, seed: int) -> None:
        assert size > 0, "an order needs at least one problem"
        self.size = size
        self.seed = seed
        self._epoch = lru_cache(maxsize=2)(self._shuffle)

    def at(self, position: int) -> tuple[int, int]:
        """Position to (epoch, index of the problem)."""
        epoch, place = divmod(position, self.size)
        return epoch, int(self._epoch(epoch)[place])

    def _shuffle(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng(derive_seed("order", self.seed, epoch))
        return generator.permutation(self.size)


def rollout_seeds(seed: int, epoch: int, problem_id: str, group_size: int) -> tuple[int, ...]:
    """One sampling seed for each rollout of a group."""
    return tuple(derive_seed("rollout", seed, epoch, problem_id, index) for index in range(group_size))
