"""What happens to a group between sampling and training, as functions without Ray.

    reward -> judge -> credit -> advantage -> keep -> within

Each takes a group and returns a new one; a group that was dropped passes through untouched.

Shape legend: _G rollouts of a group.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from raysgpo.algorithms.advantages import group_advantages
from raysgpo.algorithms.partial_credit import partial_credit, trajectory_score
from raysgpo.config import AlgorithmConfig, PartialCreditConfig
from raysgpo.judging.panel import Panel
from raysgpo.judging.votes import majority
from raysgpo.records import Drop, Group, Rollout, Verdict
from raysgpo.tasks.grader import Grader
from raysgpo.tasks.task import Task


async def reward(group: Group, task: Task, grader: Grader) -> Group:
    """Grade every response: ``correct``, ``reward_parts``, their sum as ``reward``, ``reasoning_steps``.

    A response whose grading failed counts as wrong and is counted in ``group.counts``.
    """
    if group.dropped is not None:
        return group
    grades = await asyncio.gather(*(grader.grade(group.problem, r.text) for r in group.rollouts_G))
    rollouts = [
        replace(
            rollout,
            correct=grade.correct,
            reward_parts=dict(grade.parts),
            reward=sum(grade.parts.values()),
            reasoning_steps=len(task.split(rollout.text)),
        )
        for rollout, grade in zip(group.rollouts_G, grades, strict=True)
    ]
    failures = Counter(f"grader/{grade.failure}" for grade in grades if grade.failure is not None)
    return replace(group.with_rollouts(rollouts), counts=_added(group.counts, failures))


async def judge(group: Group, task: Task, panel: Panel, credit: PartialCreditConfig) -> Group:
    """Ask for the first wrong step of the wrong answers, where this group may be judged.

    Fills ``votes``, ``verdict``, ``first_error`` and ``rts`` of the rollouts, ``judged``,
    ``judge_interval`` and ``counts``.

    A rollout whose votes are all lost takes no part in the baseline: a plain reward of 0 would lie
    below every judged one. With fewer than two rollouts that take part, or no verdict at all, the
    group counts as unjudged and keeps its plain rewards.
    """
    asked = _to_judge(group, credit)
    if not asked:
        return group
    start = time.time()
    steps = {index: task.split(group.rollouts_G[index].text) for index in asked}
    ballots = await panel.votes(group.step, group.problem, {i: s for i, s in steps.items() if s})
    rollouts = list(group.rollouts_G)
    for index in asked:
        rollouts[index] = _judged(rollouts[index], steps[index], ballots.votes.get(index, []))
    scored = any(rollouts[index].verdict is not Verdict.LOST for index in asked)
    judged = scored and sum(rollout.in_baseline for rollout in rollouts) >= 2
    if not judged:
        rollouts = [replace(rollout, in_baseline=True) for rollout in rollouts]
    return replace(
        group.with_rollouts(rollouts),
        judged=judged,
        judge_interval=(start, time.time()),
        counts=_added(group.counts, ballots.counts),
    )


def credit(group: Group, config: PartialCreditConfig) -> Group:
    """SGPO's eq. 2: in a judged group the correctness part of a wrong answer becomes its partial credit.

    Other parts, such as format, are added beside it as they are. ``reward_parts`` stays what the
    verifier gave.
    """
    if group.dropped is not None or not group.judged:
        return group
    return group.with_rollouts([_credited(rollout, config) for rollout in group.rollouts_G])


def advantage(group: Group, config: AlgorithmConfig) -> Group:
    """Eq. 1 over the rollouts that take part in the baseline; the others get 0."""
    if group.dropped is not None:
        return group
    advantages_G = group_advantages(
        np.array([rollout.reward for rollout in group.rollouts_G]),
        np.array([rollout.in_baseline for rollout in group.rollouts_G], dtype=np.bool_),
        baseline=config.baseline,
        scale=config.scale,
        ddof=config.std_ddof,
        eps=config.std_eps,
    )
    return group.with_rollouts(
        [replace(r, advantage=float(a)) for r, a in zip(group.rollouts_G, advantages_G, strict=True)]
    )


def keep(group: Group) -> Group:
    """Drop a group without any non-zero advantage. Comes after the baseline: equal rewards alone are
    no reason, since other baselines than the mean learn from them."""
    if group.dropped is not None or any(rollout.advantage != 0 for rollout in group.rollouts_G):
        return group
    return replace(group, dropped=Drop.NO_SIGNAL)


def within(group: Group, window: tuple[float, float] | None) -> Group:
    """Drop a group whose share of right answers does not lie strictly within the window, if there is one."""
    if group.dropped is not None or window is None:
        return group
    right = sum(bool(rollout.correct) for rollout in group.rollouts_G) / len(group.rollouts_G)
    return group if window[0] < right < window[1] else replace(group, dropped=Drop.FILTERED)


def given_steps(steps: Sequence[str], characters: int) -> int:
    """How many of the reasoning steps lie wholly within the first ``characters`` of their text: those given.

    A step that the policy finished is its own.
    """
    return sum(end <= characters for end in accumulate(len(step) for step in steps))


def _to_judge(group: Group, credit: PartialCreditConfig) -> list[int]:
    """Indices of the rollouts whose first error matters; none if this group is not to be judged."""
    if group.dropped is not None or not group.judge or credit.kind == "none":
        return []
    if credit.groups == "all_negative" and not group.all_negative:
        return []
    return [index for index, rollout in enumerate(group.rollouts_G) if not rollout.correct]


def _judged(rollout: Rollout, steps: Sequence[str], votes: list[int | None]) -> Rollout:
    """The verdict of the votes. A response without steps needs none: nothing is wrong in it, RTS 0.

    The RTS is that of the free steps alone: true steps that were given must not inflate it.
    """
    position = majority(votes) if steps else 0
    if position is None:
        return replace(rollout, votes=tuple(votes), verdict=Verdict.LOST, in_baseline=False)
    first_error = position if position < len(steps) else None
    given = given_steps(steps, rollout.guidance_characters)
    free_error = None if first_error is None else max(first_error - given, 0)
    return replace(
        rollout,
        votes=tuple(votes),
        verdict=Verdict.NONE_FOUND if first_error is None else Verdict.ERROR,
        first_error=first_error,
        rts=trajectory_score(free_error, len(steps) - given, truncated=rollout.truncated),
    )


def _credited(rollout: Rollout, config: PartialCreditConfig) -> Rollout:
    if rollout.correct or rollout.rts is None:
        return rollout
    worth = partial_credit(rollout.rts, kind=config.kind, beta=config.beta, gamma=config.gamma, scale=config.scale)
    beside = sum(value for name, value in rollout.reward_parts.items() if name != "correctness")
    return replace(rollout, reward=worth + beside)


def _added(counts: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    return {name: counts.get(name, 0) + more.get(name, 0) for name in counts.keys() | more.keys()}
