"""What the console is told of things that went wrong and were survived. None: nothing did."""

from __future__ import annotations

from collections.abc import Sequence

from raysgpo.judging.judge import Failure
from raysgpo.metrics import Metrics
from raysgpo.records import Drop, Group


def failed_group(group: Group) -> str | None:
    if group.dropped is not Drop.FAILED:
        return None
    return f"position {group.position}: {group.error}; the group is dropped"


def missed_sync(step: int, metrics: Metrics, replicas: int) -> str | None:
    """``step``: 0-based; ``metrics``: the trainer's."""
    landed = metrics.get("sync/replicas")
    if landed is None or landed >= replicas:
        return None
    return (
        f"step {step + 1}: the new weights reached {landed:.0f} of {replicas} rollout replicas; one that comes "
        "back or is replaced takes them before it answers"
    )


def lost_votes(step: int, groups: Sequence[Group]) -> str | None:
    """``step``: 0-based."""
    reasons = {failure: sum(g.counts.get(f"judge/{failure.value}", 0) for g in groups) for failure in Failure}
    if not any(reasons.values()):
        return None
    calls = sum(group.counts.get("judge/calls", 0) for group in groups)
    listed = ", ".join(f"{count:.0f} {failure.value.replace('_', ' ')}" for failure, count in reasons.items() if count)
    return (
        f"step {step + 1}: the judge lost {sum(reasons.values()):.0f} of {calls:.0f} votes ({listed}); an answer "
        "without a vote takes no part in its group (said once; the metrics judge/* count on)"
    )
