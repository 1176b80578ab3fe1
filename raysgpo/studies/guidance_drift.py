"""``python -m raysgpo.studies.guidance_drift``: how far eq. 5 of G2RPO-A drifts where the rewards only fluctuate.

The policy neither learns nor forgets: r_k is drawn anew each step, uniformly from mean - spread to mean + spread. Shown
is the median over runs of l after so many steps, as a multiple of l0 and without limits of its own.
"""

from __future__ import annotations

import math
from statistics import median

import numpy as np

from raysgpo.guidance.schedule import adapted, smoothed

MEAN, STEPS, RUNS = 0.5, 200, 200
SPREADS = (0.05, 0.1, 0.2)
SMOOTHINGS = (0.0, 0.5, 0.9)


def drift(spread: float, smoothing: float = 0.0, window: int = 2, max_change: float = math.inf, seed: int = 0) -> float:
    """Median of l / l0 after ``STEPS`` steps."""
    rng = np.random.default_rng(seed)
    ends = []
    for _ in range(RUNS):
        rewards = [float(reward) for reward in rng.uniform(MEAN - spread, MEAN + spread, size=STEPS)]
        means, length = smoothed(rewards, smoothing), 1e100  # far from either limit
        for step in range(2, STEPS + 1):
            before = means[max(0, step - window - 1) : step]
            length = adapted(length, before, window=window, shortest=1.0, longest=1e300, max_change=max_change)
        ends.append(length / 1e100)
    return median(ends)


def main() -> None:
    print(f"l / l0 after {STEPS} steps, median of {RUNS} runs, r uniform in {MEAN} +- spread")
    print("spread " + "".join(f"{f'smoothing {s:g}':>16}" for s in SMOOTHINGS) + f"{'max_change 2':>16}")
    for spread in SPREADS:
        numbers = [*(drift(spread, smoothing) for smoothing in SMOOTHINGS), drift(spread, max_change=2.0)]
        print(f"{spread:<7}" + "".join(f"{number:>16.3g}" for number in numbers))


if __name__ == "__main__":
    main()
