"""Rewards to advantages: a baseline that is taken off and a scale that is divided by.

Shape legend: _G rollouts of a group (the last axis); any axes before it, such as _P groups, are
treated alike and apart.

    A_i = (r_i - b) / s

    baseline b     a row of ``baselines.BASELINES``: the mean of the group (GRPO), R_min_correct (CoRPO), ...

    scale           s
    group_std       std(r) + eps                    GRPO (ddof 1 in its code, 0 in the theory of SGPO)
    fixed           a constant
    none            1                               Dr. GRPO, CoRPO

Baseline and scale are chosen apart, by name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from raysgpo.algorithms.baselines import BASELINES, Bool_G, Float_G, mean

SCALES = ("group_std", "fixed", "none")


def group_std(rewards_G: ArrayLike, part_G: ArrayLike | None = None, *, ddof: int = 1) -> Float_G:
    """Standard deviation of the rewards that take part, [..., G] -> [..., 1].

    ``ddof`` 1 is the sample's, 0 the population's. Fewer than ``ddof + 1`` rewards give 0.
    """
    rewards_G, part_G = _arrays(rewards_G, part_G)
    deviations_G = np.where(part_G, rewards_G - mean(rewards_G, part_G), 0.0)
    largest = np.abs(deviations_G).max(axis=-1, keepdims=True, initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)  # squares of what is divided by it cannot overflow
    count = np.maximum(part_G.sum(axis=-1, keepdims=True) - ddof, 1)
    return np.asarray(largest * np.sqrt(((deviations_G / largest) ** 2).sum(axis=-1, keepdims=True) / count))


def group_advantages(
    rewards_G: ArrayLike,
    in_baseline_G: ArrayLike | None = None,
    *,
    auxiliary_G: ArrayLike | None = None,
    baseline: str = "mean",
    r_min_correct: float | None = None,
    scale: str = "group_std",
    ddof: int = 1,
    eps: float = 1e-6,
    fixed_scale: float = 1.0,
) -> Float_G:
    """``A = (r - b) / s``, float64 [..., G] -> [..., G].

    ``rewards_G`` is the reward's correctness part where ``auxiliary_G`` holds the sum of its other parts
    (format, length), and the whole reward where there are none. A rollout with ``in_baseline_G``
    false has no part in baseline and scale, and advantage 0.

    Without a threshold the whole reward is compared. Under the mean a group whose largest reward equals
    its smallest gets exact zeros, and so does one with fewer than two rollouts that take part. The rule
    belongs to the mean: an equal, failed group is negative under the others.

    Baselines with a threshold compare the correctness part with ``r_min_correct``, which the other parts
    cannot shift: those have their own mean as baseline, and count for a failed answer only where
    they lower it. So r_i < R_min_correct implies A_i < 0, always; but for the group's std as scale, where a group of
    equal rewards, which has none, is left out with zeros, as the filter that CoRPO's paper has before it does.
    """
    assert baseline in BASELINES, f"baseline {baseline!r} is none of {', '.join(BASELINES)}"
    assert scale in SCALES, f"scale {scale!r} is none of {', '.join(SCALES)}"
    rewards_G, part_G = _arrays(rewards_G, in_baseline_G)
    auxiliary_G, _ = _arrays(np.zeros_like(rewards_G) if auxiliary_G is None else auxiliary_G, part_G)
    row = BASELINES[baseline]
    if row.threshold:
        assert r_min_correct is not None, f"baseline {baseline!r} needs r_min_correct"
        advantages_G = rewards_G - row.value(rewards_G, part_G, r_min_correct)
        further_G = auxiliary_G - mean(auxiliary_G, part_G)
        failed_G = rewards_G < r_min_correct
        advantages_G = advantages_G + np.where(failed_G, np.minimum(further_G, 0.0), further_G)
    else:
        rewards_G = rewards_G + auxiliary_G
        advantages_G = rewards_G - row.value(rewards_G, part_G, 0.0)
    advantages_G = np.where(part_G, advantages_G, 0.0)
    if scale == "none":
        return np.asarray(advantages_G)
    if scale == "group_std":
        whole_G = rewards_G + auxiliary_G if row.threshold else rewards_G
        divisor = group_std(whole_G, part_G, ddof=ddof)
        if row.threshold:
            advantages_G = np.where(divisor > 0, advantages_G, 0.0)
        divisor = divisor + eps
    else:
        divisor = np.array(fixed_scale)
    divisor = np.broadcast_to(divisor, advantages_G.shape)
    return np.divide(advantages_G, divisor, out=np.zeros_like(advantages_G), where=advantages_G != 0)


def _arrays(rewards_G: ArrayLike, part_G: ArrayLike | None) -> tuple[Float_G, Bool_G]:
    rewards = np.asarray(rewards_G, dtype=np.float64)
    part = np.ones(rewards.shape, np.bool_) if part_G is None else np.asarray(part_G, dtype=np.bool_)
    assert part.shape == rewards.shape, f"one mask entry a reward: {part.shape} against {rewards.shape}"
    assert np.isfinite(rewards[part]).all(), "a reward that takes part must be finite"
    return np.where(part, rewards, 0.0), part
