"""What groups.jsonl alone says of a run whose trainer never started again: its weights of k steps are version k + 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def faults(groups: Sequence[dict[str, Any]], steps: int, prompts_per_step: int, staleness: int) -> list[str]:
    """A line for each position that is lost, doubled or out of order, and for each token too old or too new."""
    found = [(row["step"], row["position"]) for row in groups]
    expected = [(position // prompts_per_step, position) for position in range(steps * prompts_per_step)]
    lines = [] if found == expected else [f"{len(found)} positions, not every one of {len(expected)} once and in order"]
    return lines + [f"position {row['position']}: {fault}" for row in groups for fault in _faults(row, staleness)]


def _faults(row: dict[str, Any], staleness: int) -> Iterator[str]:
    if row["error"] or not row["rollouts"]:
        yield f"no answer ({row['error']})"
    for rollout in row["rollouts"]:
        versions = [version for version, _ in rollout["weight_versions"]]
        ages = [row["step"] + 1 - version for version in versions]
        if sum(count for _, count in rollout["weight_versions"]) != rollout["num_tokens"]:
            yield "tokens without a version"
        if versions != sorted(set(versions)) or not all(0 <= age <= staleness for age in ages):
            yield f"versions {versions} in step {row['step']} under S = {staleness}"
        if max(ages) > row["age"]:
            yield f"age {row['age']} with a token of {max(ages)} steps before"
