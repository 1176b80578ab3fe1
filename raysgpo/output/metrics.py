"""The numbers of a step, computed from its groups, the trainer's report and the clock.

``docs/metrics.md`` defines each name. Rates over nothing are None (null in JSON), never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from raysgpo.judging.judge import Failure
from raysgpo.judging.votes import agreement
from raysgpo.records import Drop, Group, Problem, Role, Rollout, Verdict

Interval = tuple[float, float]
Number = float | int | None
Metrics = dict[str, Number]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class StepTimes:
    """When the phases of one step ran: seconds since the Unix epoch."""

    start: float
    """End of the step before: the moment the window moved."""
    end: float
    wait: Interval
    """The trainer waited for the step's groups."""
    train: Interval
    sync: Interval
    evaluate: Interval = (0.0, 0.0)
    checkpoint: Interval = (0.0, 0.0)
    """Training stood still for a checkpoint since the step before, if for any."""


@dataclass(slots=True)
class Solved:
    """Training problems that were answered right at least once without guidance, ever."""

    ids: set[str] = field(default_factory=set)

    def add(self, groups: Iterable[Group]) -> int:
        self.ids.update(g.problem.id for g in groups if any(r.correct and not r.guided for r in g.rollouts_G))
        return len(self.ids)


def union_seconds(intervals: Iterable[Interval], start: float, end: float) -> float:
    """Length of the union of the intervals, cut to [start, end]; overlaps count once."""
    total, reached = 0.0, start
    for low, high in sorted(intervals):
        low, high = max(low, reached), min(high, end)
        if high > low:
            total += high - low
            reached = high
    return total


def group_metrics(groups_P: Sequence[Group]) -> Metrics:
    """What was sampled, judged and compared in one step. ``groups_P``: all of them, dropped or not."""
    sampled = [g for g in groups_P if g.dropped is not Drop.FAILED]
    rollouts = [r for g in sampled for r in g.rollouts_G]
    judged = [r for r in rollouts if r.verdict is not None]
    return {
        "accuracy/mean": _mean([float(bool(r.correct)) for r in rollouts]),
        "reward/mean": _mean([r.reward for g in sampled if g.dropped is not Drop.NO_REWARD for r in g.rollouts_G]),
        **_readings(rollouts),
        "groups/trained": sum(g.dropped is None for g in groups_P),
        "groups/dropped": sum(g.dropped is not None for g in groups_P),
        **{f"groups/{drop.value}": sum(g.dropped is drop for g in groups_P) for drop in Drop},
        "groups/sampled": len(groups_P),
        "groups/all_negative_share": _mean([float(g.all_negative) for g in sampled]),
        "groups/degenerate_share": _mean([float(g.degenerate) for g in sampled]),
        "groups/judged_share": _mean([float(g.judged) for g in sampled if g.all_negative]),
        "failures/truncated_share": _mean([float(r.truncated and not r.correct) for r in rollouts]),
        "failures/finished_share": _mean([float(not r.truncated and not r.correct) for r in rollouts]),
        "judge/allowed": sum(g.judge for g in groups_P),
        "judge/groups": sum(g.judged for g in sampled),
        **_judge_costs(sampled),
        "judge/lost": sum(vote is None for r in judged for vote in r.votes),
        "judge/none_found": sum(r.verdict is Verdict.NONE_FOUND for r in judged),
        "judge/none_found_share": _mean([float(_unfound(r)) for r in judged]),
        "judge/vote_agreement": _mean([a for r in judged if (a := agreement(r.votes)) is not None]),
        "judge/rts_mean": _rts_mean(judged),
        "judge/rts_truncated": _rts_mean([r for r in judged if r.truncated]),
        "judge/rts_finished": _rts_mean([r for r in judged if not r.truncated]),
        **_advantage_metrics(rollouts, [r for g in sampled if g.dropped is None for r in g.rollouts_G]),
        "entropy/sampled": _sampled_entropy(rollouts),
        "tokens/sampled": sum(r.num_tokens for r in rollouts),
        "tokens/completion": _mean([float(r.num_tokens) for r in rollouts]),
        "tokens/truncated_share": _mean([float(r.truncated) for r in rollouts]),
        "staleness/mean": _mean([float(g.age) for g in sampled]),
        "staleness/max": max((g.age for g in sampled), default=None),
        "grader/failures": sum(n for g in sampled for name, n in g.counts.items() if name.startswith("grader/")),
        "sampling/retries": sum(max((r.attempt for r in g.rollouts_G), default=0) for g in groups_P),
    }


def _sampled_entropy(rollouts: Sequence[Rollout]) -> Number:
    """Minus the mean logprob of the sampled tokens, nats: an unbiased estimate of the entropy of what was sampled from.

    Of every rollout: a method that drops other groups shows other tokens to the trainer's own entropy.
    """
    sampled = [s.logprobs_T for r in rollouts for s in r.segments if s.role is Role.COMPLETION and len(s.logprobs_T)]
    if not sampled or any(np.isnan(logprobs_T).any() for logprobs_T in sampled):
        return None
    return -float(np.concatenate(sampled).mean(dtype=np.float64))


def _unfound(rollout: Rollout) -> bool:
    """Whether the judge found no error in an answer that ended wrong."""
    ended = not rollout.truncated and bool(rollout.reasoning_steps)
    return rollout.verdict is Verdict.NONE_FOUND and ended


def _advantage_metrics(rollouts: Sequence[Rollout], trained: Sequence[Rollout]) -> Metrics:
    """Who is reinforced and who is pushed down: shares of all rollouts, masses of those that are trained on."""
    advantages = np.array([r.advantage for r in rollouts], dtype=np.float64)
    right = np.array([bool(r.correct) for r in rollouts], dtype=np.bool_)
    masses = np.array([r.advantage for r in trained], dtype=np.float64)
    positive, negative = masses[masses > 0], masses[masses < 0]
    quadrants = {
        "right_positive": right & (advantages > 0),
        "right_negative": right & (advantages < 0),
        "wrong_positive": ~right & (advantages > 0),
        "wrong_negative": ~right & (advantages < 0),
    }
    return {
        **{f"advantage/{name}_share": _ratio(mask.sum(), len(rollouts)) for name, mask in quadrants.items()},
        "advantage/wrong_positive_rate": _ratio(quadrants["wrong_positive"].sum(), (~right).sum()),
        "advantage/abs_mean": float(np.abs(advantages).mean()) if rollouts else None,
        "advantage/std": float(advantages.std()) if rollouts else None,
        "advantage/positive_mass": float(positive.sum()),
        "advantage/negative_mass": float(-negative.sum()) + 0.0,
        "advantage/r_count": _ratio(len(positive), len(negative)),
    }


def _readings(rollouts: Sequence[Rollout]) -> Metrics:
    """Mean and standard deviation of each number that the grader read in the answers, if it reads any."""
    readings = [rollout.readings for rollout in rollouts if rollout.readings is not None]
    if not readings:
        return {}
    result: Metrics = {"readings/unread_share": _mean([float(not found) for found in readings])}
    for name in sorted({name for found in readings for name in found}):
        values = [found[name] for found in readings if name in found]
        result |= {f"readings/{name}_mean": _mean(values), f"readings/{name}_std": float(np.std(values))}
    return result


def _judge_costs(groups: Sequence[Group]) -> Metrics:
    """Calls by fate, their tokens, and the mean seconds of one."""

    def total(name: str) -> float:
        return sum(group.counts.get(f"judge/{name}", 0) for group in groups)

    names = ("calls", "cached", *(failure.value for failure in Failure), "tokens")
    calls = total("calls")
    return {f"judge/{name}": total(name) for name in names} | {
        "judge/seconds": total("seconds") / calls if calls else None
    }


SUCCESS_BOUNDS = (0.2, 0.4, 0.6, 0.8)
SUCCESS = ("0", "0_20", "20_40", "40_60", "60_80", "80_100", "100")
"""Groups by the share of their unguided answers that is right, in per cent: none, within 0 to 20, ..., all."""


def success_metrics(groups_P: Sequence[Group]) -> Metrics:
    """How hard the step's prompts were for the policy: the share of groups in each of SUCCESS."""
    places = [success_place(rate) for group in groups_P if (rate := success_rate(group)) is not None]
    return {f"success/{name}": _mean([float(one == place) for one in places]) for place, name in enumerate(SUCCESS)}


def success_rate(group: Group) -> float | None:
    """Share of right answers without guidance, or of all where none is without; None of a group without answers."""
    free = [r for r in group.rollouts_G if not r.guided] or group.rollouts_G
    return None if group.dropped is Drop.FAILED else _mean([float(bool(r.correct)) for r in free])


def success_place(rate: float) -> int:
    """The place in SUCCESS; 1 - rate lies as far from the other end."""
    if rate in (0, 1):
        return int(rate) * (len(SUCCESS) - 1)
    low, high = SUCCESS_BOUNDS[:2], SUCCESS_BOUNDS[2:]
    return 1 + sum(rate >= bound for bound in low) + sum(rate > bound for bound in high)


def guidance_metrics(groups_P: Sequence[Group]) -> Metrics:
    """Guided and unguided rollouts apart. ``groups_P``: all groups of a step, dropped or not."""
    groups = [g for g in groups_P if g.dropped is not Drop.FAILED]
    rollouts = [r for g in groups for r in g.rollouts_G]
    guided, free = [r for r in rollouts if r.guided], [r for r in rollouts if not r.guided]

    def std(some: Sequence[Rollout]) -> float | None:
        return float(np.std([r.advantage for r in some])) if some else None

    return {
        "accuracy/guided": _mean([float(bool(r.correct)) for r in guided]),
        "accuracy/unguided": _mean([float(bool(r.correct)) for r in free]),
        "advantage/std_guided": std(guided),
        "advantage/std_unguided": std(free),
        "guidance/length": _mean([g.guidance_length for g in groups if g.guidance_length is not None]),
        "guidance/share": len(guided) / len(rollouts) if rollouts else None,
        "guidance/tokens": _mean([float(r.guidance_tokens) for r in guided]),
    }


def time_metrics(groups_P: Sequence[Group], times: StepTimes) -> Metrics:
    """How the wall clock of a step was spent. Phases may overlap, so the parts may exceed the whole;
    ``time/other`` is the part of the step in which no phase ran at all."""
    sample = [g.sample_interval for g in groups_P]
    judge = [g.judge_interval for g in groups_P]
    trainer = [times.train, times.sync, times.evaluate, times.checkpoint]
    seconds = times.end - times.start
    tokens = sum(r.num_tokens for g in groups_P for r in g.rollouts_G)

    def within(intervals: Sequence[Interval]) -> float:
        return union_seconds(intervals, times.start, times.end)

    return {
        "time/step": seconds,
        "time/sample": within(sample),
        "time/judge": within(judge),
        "time/train": within([times.train]),
        "time/sync": within([times.sync]),
        "time/wait": within([times.wait]),
        "time/eval": within([times.evaluate]),
        "time/checkpoint": within([times.checkpoint]),
        "time/judge_alone": within([*sample, *judge, *trainer]) - within([*sample, *trainer]),
        "time/other": seconds - within([*sample, *judge, *trainer]),
        "tokens/per_second": tokens / seconds if seconds > 0 else None,
    }


def evaluation_metrics(labels_P: Sequence[Collection[str]], correct_P: Sequence[bool]) -> Metrics:
    """Held-out accuracy, of all problems and of those of each label."""
    accuracy = by_label("eval/accuracy", labels_P, correct_P, lambda some: _mean([float(right) for right in some]))
    return {"eval/accuracy": None, "eval/prompts": len(correct_P), **accuracy}


def by_label(
    name: str, labels_P: Sequence[Collection[str]], values_P: Sequence[Value], mean: Callable[[Sequence[Value]], Number]
) -> Metrics:
    """``mean`` over all problems as ``name``, and over those with a label as ``name/label``."""
    result: Metrics = {name: mean(values_P)}
    for label in sorted({label for labels in labels_P for label in labels}):
        result[f"{name}/{label}"] = mean([v for labels, v in zip(labels_P, values_P, strict=True) if label in labels])
    return result


def problem_labels(problem: Problem) -> tuple[str, ...]:
    """What a held-out problem is counted under, beside all: its difficulty, level and category, if it has them."""
    data = problem.metadata
    labels = [f"{name}_{data[name]}" for name in ("difficulty", "level") if data.get(name) is not None]
    return (*labels, *([] if data.get("category") is None else [str(data["category"])]))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _ratio(count: float, of: float) -> float | None:
    return float(count / of) if of else None


def _rts_mean(rollouts: Sequence[Rollout]) -> float | None:
    return _mean([r.rts for r in rollouts if r.rts is not None])
