"""What must hold of a run's records, whatever was done to it: read from groups.jsonl and config.yaml alone."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from raysgpo.config.overrides import load, resolve
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.output.test_recompute import recomputed


def faults(run: RunFolder) -> list[str]:
    """One line for each thing that is wrong."""
    config = resolve(load(run.config))
    rows, steps = list(read_rows(run.groups)), [int(row["step"]) for row in read_rows(run.metrics)]
    found = []
    if steps != list(range(len(steps))):
        found.append(f"steps of metrics.jsonl: {_shown(steps)}")
    positions = [int(row["position"]) for row in rows]
    expected = list(range(len(steps) * config.prompts_per_step))
    if positions != expected:
        doubled = [position for position, count in Counter(positions).items() if count > 1]
        lost = sorted(set(expected) - set(positions))
        found.append(f"{len(positions)} positions for {len(expected)}: doubled {_shown(doubled)}, lost {_shown(lost)}")
    for row in rows:
        found += _wrong(row, config)
    return found


def _wrong(row: dict[str, Any], config: Any) -> list[str]:
    where = f"position {row['position']}"
    found = []
    if row["age"] > config.max_staleness and row["dropped"] != "too_old":
        found.append(f"{where}: age {row['age']}")
    if row["dropped"] == "failed":
        return [*found, f"{where}: lost to {row['error']}"]
    rewards, advantages = recomputed(row, config.algorithm)
    for rollout, reward, advantage in zip(row["rollouts"], rewards, advantages, strict=True):
        if not math.isclose(rollout["reward"], reward, abs_tol=1e-6):
            found.append(f"{where}: reward {rollout['reward']} instead of {reward}")
        if not math.isclose(rollout["advantage"], advantage, abs_tol=1e-6):
            found.append(f"{where}: advantage {rollout['advantage']} instead of {advantage}")
    return found


def _shown(numbers: list[int]) -> str:
    return f"{numbers[:5]}{' ...' if len(numbers) > 5 else ''}" if numbers else "none"
