"""Rewards to advantages: a baseline that is taken off and a scale that is divided by.

Shape legend: _G rollouts of a group (the last axis); any axes before it, such as _P groups, are
treated alike and apart.

GRPO (arXiv 2402.03300; SGPO, arXiv 2505.11595, eq. 1)::

    A_i = (r_i - mean(r)) / (std(r) + eps)

is ``baseline="mean", scale="group_std"``. Baseline and scale are chosen apart, by name, so that a
new method is one more entry of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float_G = NDArray[np.float64]
Bool_G = NDArray[np.bool_]

BaselineFn = Callable[[Float_G, Bool_G], Float_G]
"""(rewards [..., G], who takes part [..., G]) -> b, broadcastable to [..., G]."""


def _mean(rewards_G: Float_G, part_G: Bool_G) -> Float_G:
    count = np.maximum(part_G.sum(axis=-1, keepdims=True), 1)
    return np.asarray(np.where(part_G, rewards_G, 0.0).sum(axis=-1, keepdims=True) / count)


def _none(rewards_G: Float_G, part_G: Bool_G) -> Float_G:
    return np.zeros_like(rewards_G)


BASELINES: Mapping[str, BaselineFn] = {"mean": _mean, "none": _none}
SCALES = ("group_std", "none")


def group_std(rewards_G: ArrayLike, part_G: ArrayLike | None = None, *, ddof: int = 1) -> Float_G:
    """Standard deviation of the rewards that take part, [..., G] -> [..., 1].

    ``ddof`` 1 is the sample's, 0 the population's. Fewer than ``ddof + 1`` rewards give 0.
    """
    rewards_G, part_G = _arrays(rewards_G, part_G)
    squares_G = np.where(part_G, (rewards_G - _mean(rewards_G, part_G)) ** 2, 0.0)
    count = np.maximum(part_G.sum(axis=-1, keepdims=True) - ddof, 1)
    return np.asarray(np.sqrt(squares_G.sum(axis=-1, keepdims=True) / count))


def group_advantages(
    rewards_G: ArrayLike,
    in_baseline_G: ArrayLike | None = None,
    *,
    baseline: str = "mean",
    scale: str = "group_std",
    ddof: int = 1,
    eps: float = 1e-6,
) -> Float_G:
    """``A = (r - b) / s``, float64 [..., G] -> [..., G].

    A rollout with ``in_baseline_G`` false has no part in baseline and scale, and advantage 0. Under
    the mean baseline a group whose largest reward equals its smallest gets exact zeros; the test is
    max == min because mean and std of equal numbers are off by a rounding error, which dividing by
    eps would blow up. The rule belongs to the mean baseline alone: against other baselines an equal
    group does have something to learn. A group with fewer than two rollouts that take part is such
    a group.
    """
    assert baseline in BASELINES, f"baseline {baseline!r} is none of {', '.join(BASELINES)}"
    assert scale in SCALES, f"scale {scale!r} is none of {', '.join(SCALES)}"
    rewards_G, part_G = _arrays(rewards_G, in_baseline_G)
    advantages_G = rewards_G - BASELINES[baseline](rewards_G, part_G)
    if baseline == "mean":
        high = np.where(part_G, rewards_G, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
        low = np.where(part_G, rewards_G, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
        part_G = part_G & (high > low)
    advantages_G = np.where(part_G, advantages_G, 0.0)
    if scale == "none":
        return np.asarray(advantages_G)
    divisor = np.broadcast_to(group_std(rewards_G, part_G, ddof=ddof) + eps, advantages_G.shape)
    return np.divide(advantages_G, divisor, out=np.zeros_like(advantages_G), where=advantages_G != 0)


def _arrays(rewards_G: ArrayLike, part_G: ArrayLike | None) -> tuple[Float_G, Bool_G]:
    rewards = np.asarray(rewards_G, dtype=np.float64)
    part = np.ones(rewards.shape, np.bool_) if part_G is None else np.asarray(part_G, dtype=np.bool_)
    assert part.shape == rewards.shape, f"one mask entry a reward: {part.shape} against {rewards.shape}"
    assert np.isfinite(rewards[part]).all(), "a reward that takes part must be finite"
    return np.where(part, rewards, 0.0), part
