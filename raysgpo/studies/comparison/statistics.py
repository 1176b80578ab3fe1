"""What can be said of differences between variants: spread over seeds, and paired bootstrap intervals.

Shape legend: _S seeds, _E evaluations in the order of steps, _P held-out prompts, _B bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 10_000
CHUNK = 500
"""Resamples at one time: bounds the memory."""
LEVEL = 0.95
ROUNDING = 1e-9
"""A target is often the mean of one of the curves, which other sums of the same numbers miss by so much at most."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over seeds."""

    mean: float
    std: float | None
    """Sample standard deviation (ddof 1); None of a single seed."""
    count: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, second minus first, with its bootstrap interval."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean and standard deviation of the values that are there; None if there are none."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    if not known:
        return None
    return Spread(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None, len(known))


def first_reach(x_E: Sequence[float], accuracy_E: Sequence[float], target: float) -> float | None:
    """Where the accuracy first reaches the target, linear between evaluations; None if it never does."""
    curve_E = np.asarray(accuracy_E, dtype=np.float64)
    reached = _reach(np.asarray(x_E, dtype=np.float64), curve_E[None], np.array([target]))[0]
    return None if np.isnan(reached) else float(reached)


def paired_differences(
    first_SEP: Floats, second_SEP: Floats, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """Mean of second minus first at each evaluation, with percentile intervals.

    Entries lie in [0, 1]: 1 for a right answer and 0 for a wrong one, or a prompt's pass@k. Each resample draws S of
    the seeds and, apart from them, P of the prompts, with replacement, the same for both (the pigeonhole bootstrap of
    crossed factors, Owen 2007, Annals of Applied Statistics 1(2), which is slightly conservative); of a single seed it
    draws prompts alone.
    """
    difference_SEP = second_SEP - first_SEP
    draws = _draws(first_SEP, second_SEP, resamples, seed)
    resampled_BE = np.concatenate([_means(difference_SEP, *drawn) for drawn in draws])
    low_E, high_E = _percentiles(resampled_BE)
    rows = zip(difference_SEP.mean(axis=(0, 2)), low_E, high_E, strict=True)
    return [Interval(*map(float, row)) for row in rows]


def paired_reach(
    first_SEP: Floats,
    second_SEP: Floats,
    steps_E: Sequence[int],
    target: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Steps to the target of second minus first, from the mean curves; None if neither reaches it.

    Without a target it is the accuracy that the first ends with, in each resample its own: a fixed one at the end of
    the curve would be missed by half of the resamples. A curve that does not reach the target counts its last step,
    so such a difference is understated. Resamples as in ``paired_differences``.
    """
    x_E = np.asarray(steps_E, dtype=np.float64)

    def difference(seeds_BS: Floats, prompts_BP: Floats) -> Floats:
        one_BE, two_BE = (_means(values, seeds_BS, prompts_BP) for values in (first_SEP, second_SEP))
        target_B = one_BE[:, -1] if target is None else np.full(len(one_BE), target)
        one_B, two_B = (_reach(x_E, curves_BE, target_B) for curves_BE in (one_BE, two_BE))
        return np.where(np.isnan(two_B), x_E[-1], two_B) - np.where(np.isnan(one_B), x_E[-1], one_B)

    highest = max(values.mean(axis=(0, 2)).max() for values in (first_SEP, second_SEP))
    if target is not None and highest < target - ROUNDING:
        return None
    drawn_B = np.concatenate([difference(*drawn) for drawn in _draws(first_SEP, second_SEP, resamples, seed)])
    low, high = _percentiles(drawn_B)
    return Interval(float(difference(*_once(first_SEP))[0]), float(low), float(high))


def _draws(first_SEP: Floats, second_SEP: Floats, resamples: int, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """How often each seed (B, S) and each prompt (B, P) is drawn, as weights that sum to 1."""
    assert first_SEP.shape == second_SEP.shape and first_SEP.ndim == 3, "the same seeds, evaluations and prompts"
    assert first_SEP.size, "nothing to compare"
    seeds, _, prompts = first_SEP.shape
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        yield (
            rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=size) / seeds,
            rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=size) / prompts,
        )


def _once(values_SEP: Floats) -> tuple[Floats, Floats]:
    """The weights of every seed and prompt drawn once."""
    seeds, _, prompts = values_SEP.shape
    return np.full((1, seeds), 1 / seeds), np.full((1, prompts), 1 / prompts)


def _means(values_SEP: Floats, seeds_BS: Floats, prompts_BP: Floats) -> Floats:
    """Weighted mean over seeds and prompts: (B, E)."""
    by_seed_SEB = values_SEP @ prompts_BP.T
    return np.einsum("bs,seb->be", seeds_BS, by_seed_SEB)


def _reach(x_E: Floats, curves_BE: Floats, target_B: Floats) -> Floats:
    """Where each curve first reaches its target: (B,); NaN where it never does."""
    above_BE = curves_BE >= target_B[:, None] - ROUNDING
    index_B = above_BE.argmax(axis=1)
    rows_B = np.arange(len(curves_BE))
    before_B = np.maximum(index_B - 1, 0)
    low_B, high_B = curves_BE[rows_B, before_B], curves_BE[rows_B, index_B]
    share_B = np.divide(target_B - low_B, high_B - low_B, out=np.zeros_like(low_B), where=high_B > low_B)
    reached_B = x_E[before_B] + share_B * (x_E[index_B] - x_E[before_B])
    reached_B = np.where(index_B == 0, x_E[0], reached_B)
    return np.where(above_BE.any(axis=1), reached_B, np.nan)


def _percentiles(values_B: Floats) -> Floats:
    """The bounds of the interval, along the first axis."""
    return np.quantile(values_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
