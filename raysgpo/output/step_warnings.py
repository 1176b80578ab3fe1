"""What the console is told of things that went wrong and were survived. None: nothing did."""

from __future__ import annotations

from collections.abc import Sequence

from raysgpo.config import Config
from raysgpo.config.replica_bounds import ReplicaBounds
from raysgpo.judging.judge import Failure
from raysgpo.output.metrics import Metrics
from raysgpo.records import Drop, Group


def failed_group(group: Group) -> str | None:
    if group.dropped is not Drop.FAILED:
        return None
    return f"position {group.position}: {group.error}; the group is dropped"


def missed_sync(step: int, metrics: Metrics, replicas: ReplicaBounds) -> str | None:
    """``step``: 0-based; ``metrics``: the trainer's. One of a changing number is missed if it was told, and one of the
    fewest in any case; whatever is just joining or leaving is not told."""
    landed = metrics.get("sync/replicas")
    if landed is None:
        return None
    fewest, most = replicas
    known = min(most, max(fewest, landed + (metrics.get("sync/failures") or 0)))
    if landed >= known:
        return None
    return (
        f"step {step + 1}: the new weights reached {landed:.0f} of {known:.0f} rollout replicas; one that comes "
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


def failed_grading(step: int, groups: Sequence[Group], failed: str) -> str | None:
    """``step``: 0-based; ``failed``: the setting ``task.failed_grading``."""
    count = sum(n for g in groups for name, n in g.counts.items() if name.startswith("grader/"))
    if not count:
        return None
    first = next((group.error for group in groups if group.error and group.dropped in (None, Drop.NO_REWARD)), "")
    reason = first.partition("): ")[2]
    fate = "such an answer counts as wrong" if failed == "wrong" else "the group of such an answer is dropped"
    return (
        f"step {step + 1}: grading failed for {count:.0f} answers{f', of one by {reason}' if reason else ''}; {fate} "
        "(said once; grader/failures counts on)"
    )


def without_reward(step: int, groups: Sequence[Group]) -> str | None:
    """``step``: 0-based."""
    bad = [group for group in groups if group.dropped is Drop.NO_REWARD]
    if not bad:
        return None
    return (
        f"step {step + 1}: {len(bad)} groups are dropped, the first at position {bad[0].position}: {bad[0].error} "
        "(said once; groups/no_reward counts on, and groups.jsonl has the texts)"
    )


def short_step(step: int, groups: Sequence[Group], config: Config) -> str | None:
    """``step``: 0-based. Without refilling a step is what it is."""
    kept = sum(group.dropped is None for group in groups)
    if not config.algorithm.refill or kept >= config.prompts_per_step:
        return None
    return (
        f"step {step + 1}: of {len(groups)} prompts only {kept} gave a group to train on, instead of "
        f"{config.prompts_per_step}, so the step is smaller (algorithm.refill_limit={config.algorithm.refill_limit}; "
        "said once, groups/trained counts on)"
    )


def step_warnings(step: int, groups: Sequence[Group], config: Config) -> dict[str, str]:
    """What a run is told once, by kind."""
    warnings = {
        "lost votes": lost_votes(step, groups),
        "failed grading": failed_grading(step, groups, config.task.failed_grading),
        "without reward": without_reward(step, groups),
        "short step": short_step(step, groups, config),
    }
    return {kind: warning for kind, warning in warnings.items() if warning is not None}
