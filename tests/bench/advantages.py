"""Advantages of 100,000 groups of 8 against a plain loop over the groups: seconds on one core.

    python tests/bench/advantages.py [--groups 100000] [--rounds 5]

The loop is what one would write without numpy: statistics of the standard library, a group at a time.
Both take turns; the medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from raysgpo.algorithms.advantages import group_advantages

SIZE = 8
R_MIN_CORRECT = 0.5
CASES = {
    "mean, group_std": ("mean", "group_std"),
    "leave_one_out": ("leave_one_out", "none"),
    "corpo": ("corpo", "none"),
}


def plain(group: list[float], baseline: str, scale: str) -> list[float]:
    mean = sum(group) / len(group)
    if baseline == "leave_one_out":
        return [r - (mean * len(group) - r) / (len(group) - 1) for r in group]
    line = max(R_MIN_CORRECT, mean) if baseline == "corpo" else mean
    divisor = 1.0
    if scale == "group_std":
        divisor = (sum((r - mean) ** 2 for r in group) / (len(group) - 1)) ** 0.5 + 1e-6
    return [(r - line) / divisor for r in group]


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rewards_PG = np.random.default_rng(0).random((arguments.groups, SIZE))
    groups = rewards_PG.tolist()
    print(f"{arguments.groups:,} groups of {SIZE}, one core, median of {arguments.rounds}")
    for name, (baseline, scale) in CASES.items():

        def vectorised(baseline: str = baseline, scale: str = scale) -> np.ndarray:
            return group_advantages(rewards_PG, baseline=baseline, scale=scale, r_min_correct=R_MIN_CORRECT)

        def looped(baseline: str = baseline, scale: str = scale) -> list[list[float]]:
            return [plain(group, baseline, scale) for group in groups]

        np.testing.assert_allclose(vectorised(), looped(), rtol=1e-9, atol=1e-12)
        ours = statistics.median(seconds(vectorised) for _ in range(arguments.rounds))
        loop = statistics.median(seconds(looped) for _ in range(arguments.rounds))
        print(f"{name:>16}: {ours:.3f} s   plain loop {loop:.3f} s   {loop / ours:.1f} times faster")


if __name__ == "__main__":
    main()
