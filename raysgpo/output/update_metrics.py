"""What the updates of a step report, as numbers of the step.

``docs/metrics.md`` defines each name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from raysgpo.output.metrics import Metrics, Number

Combine = Callable[[list[float], list[int]], float]
"""Of each update that has the number: the number, and its sampled tokens."""


def _token_mean(values: list[float], tokens: list[int]) -> float:
    return float(np.average(values, weights=tokens))


def _mean(values: list[float], tokens: list[int]) -> float:
    return float(np.mean(values))


def _total(values: list[float], tokens: list[int]) -> float:
    return sum(values)


def _first(values: list[float], tokens: list[int]) -> float:
    return values[0]


def _last(values: list[float], tokens: list[int]) -> float:
    return values[-1]


COMBINED: Mapping[str, Combine] = {
    "policy/loss": _mean,
    "policy/entropy": _token_mean,
    "policy/clip_share": _token_mean,
    "policy/kl": _token_mean,
    # Only the first update's policy is the one that sampled: later, they also hold what the step has learned.
    "policy/mismatch_kl": _first,
    "policy/mismatch_abs": _first,
    "policy/mismatch_max": _first,
    "policy/ratio_mean": _token_mean,
    "policy/padding": _mean,
    "policy/denominator": _total,
    "policy/grad_norm": _mean,
    "policy/lr": _last,
    "policy/skipped": _total,
    "advantage/r_loss": _mean,
}
"""Every number of ``Policy.update``, and the step's from those of its updates."""

NO_UPDATE: Metrics = dict.fromkeys(COMBINED)
"""What the trainer reports of a step without a group to train on: every number null."""


def over_updates(updates: Sequence[tuple[Metrics, int]]) -> Metrics:
    """The step's numbers, and where it has several updates, those of each under NAME/update_N.

    ``updates``: the numbers of each and its sampled tokens; ``NO_UPDATE`` and 0 if it had nothing to train on.
    """
    step: Metrics = {name: _combined(name, combine, updates) for name, combine in COMBINED.items()}
    if len(updates) == 1:
        return step
    each = {
        f"{name}/update_{number}": value
        for number, (metrics, _) in enumerate(updates, start=1)
        for name, value in metrics.items()
    }
    return step | each


def _combined(name: str, combine: Combine, updates: Sequence[tuple[Metrics, int]]) -> Number:
    found = [(value, tokens) for metrics, tokens in updates if (value := metrics[name]) is not None]
    return combine([value for value, _ in found], [tokens for _, tokens in found]) if found else None
