"""What happens to a group between sampling and training, as functions without Ray.

    reward -> judge -> credit -> advantage -> keep

Each takes a group and returns a new one; a group that was dropped passes through untouched.

Shape legend: _G rollouts of a group.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raysgpo.algorithms.advantages import group_advantages
from raysgpo.algorithms.partial_credit import partial_credit, trajectory_score
from raysgpo.config import AlgorithmConfig, JudgeConfig, PartialCreditConfig
from raysgpo.judging.judge import Judge
from raysgpo.judging.votes import majority, read_vote
from raysgpo.records import Drop, Group, Problem, Rollout, Verdict
from raysgpo.seeds import derive_seed
from raysgpo.tasks.grader import Grader
from raysgpo.tasks.task import Task

_log = logging.getLogger(__name__)


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


async def judge(group: Group, task: Task, judge: Judge, config: JudgeConfig, credit: PartialCreditConfig) -> Group:
    """Ask for the first wrong step of the wrong answers, where this group may be judged.

    All votes of the group are asked for at once, each for ``config.deadline`` seconds at most. Fills
    ``votes``, ``verdict``, ``first_error`` and ``rts`` of the rollouts, ``judged``, ``judge_interval``.

    A rollout whose votes are all lost takes no part in the baseline: a plain reward of 0 would lie
    below every judged one. With fewer than two rollouts that take part, or no verdict at all, the
    group counts as unjudged and keeps its plain rewards.
    """
    asked = _to_judge(group, credit)
    if not asked:
        return group
    start = time.time()
    steps = {index: task.split(group.rollouts_G[index].text) for index in asked}
    answers = await _votes(group, steps, judge, config)
    rollouts = list(group.rollouts_G)
    for index in asked:
        rollouts[index] = _judged(rollouts[index], len(steps[index]), answers.votes[index])
    scored = any(rollouts[index].verdict is not Verdict.LOST for index in asked)
    judged = scored and sum(rollout.in_baseline for rollout in rollouts) >= 2
    if not judged:
        rollouts = [replace(rollout, in_baseline=True) for rollout in rollouts]
    return replace(
        group.with_rollouts(rollouts),
        judged=judged,
        judge_interval=(start, time.time()),
        counts=_added(group.counts, answers.failures),
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


@dataclass(frozen=True, slots=True)
class _Answers:
    votes: dict[int, list[int | None]]
    """Rollout index -> its votes, None for a lost one."""
    failures: Mapping[str, int]


def _to_judge(group: Group, credit: PartialCreditConfig) -> list[int]:
    """Indices of the rollouts whose first error matters; none if this group is not to be judged."""
    if group.dropped is not None or not group.judge or credit.kind == "none":
        return []
    if credit.groups == "all_negative" and not group.all_negative:
        return []
    return [index for index, rollout in enumerate(group.rollouts_G) if not rollout.correct]


async def _votes(group: Group, steps: Mapping[int, Sequence[str]], judge: Judge, config: JudgeConfig) -> _Answers:
    """Every vote on every response that has steps, concurrently. What fails is a lost vote, counted."""
    failures: Counter[str] = Counter()
    asked = [(index, vote) for index in steps if steps[index] for vote in range(config.votes)]
    tasks = [
        asyncio.ensure_future(
            _one_vote(judge, group.problem, steps[i], derive_seed("judge", group.rollouts_G[i].seed, vote), failures)
        )
        for i, vote in asked
    ]
    try:
        # Not wait_for: a judge that swallows its cancellation would be waited for without end.
        late = (await asyncio.wait(tasks, timeout=config.deadline))[1] if tasks else set()
    finally:
        for task in tasks:
            task.cancel()
    votes: dict[int, list[int | None]] = {index: [] for index in steps}
    for (index, _), task in zip(asked, tasks, strict=True):
        lost = task in late or task.cancelled()
        votes[index].append(None if lost else task.result())
        failures["judge/errors"] += task.cancelled() and task not in late
    if late:
        _log.warning("%d judgements of problem %s passed their deadline", len(late), group.problem.id)
        failures["judge/timeouts"] += len(late)
    return _Answers(votes, dict(failures))


async def _one_vote(
    judge: Judge, problem: Problem, steps: Sequence[str], seed: int, failures: Counter[str]
) -> int | None:
    try:
        answer = await judge(problem, steps, seed)
    except Exception as error:  # a dead or confused judge must not stop the run
        _log.warning("a judgement of problem %s failed, its vote is lost: %r", problem.id, error)
        failures["judge/errors"] += 1
        return None
    vote = read_vote(answer, len(steps))
    if vote is None:
        failures["judge/unreadable"] += 1
    return vote


def _judged(rollout: Rollout, steps: int, votes: list[int | None]) -> Rollout:
    """The verdict of the votes. A response without steps needs none: nothing is wrong in it, RTS 0."""
    position = majority(votes) if steps else 0
    if position is None:
        return replace(rollout, votes=tuple(votes), verdict=Verdict.LOST, in_baseline=False)
    first_error = position if position < steps else None
    return replace(
        rollout,
        votes=tuple(votes),
        verdict=Verdict.NONE_FOUND if first_error is None else Verdict.ERROR,
        first_error=first_error,
        rts=trajectory_score(first_error, steps, truncated=rollout.truncated),
    )


def _credited(rollout: Rollout, config: PartialCreditConfig) -> Rollout:
    if rollout.correct or rollout.rts is None:
        return rollout
    worth = partial_credit(rollout.rts, kind=config.kind, beta=config.beta, gamma=config.gamma, scale=config.scale)
    beside = sum(value for name, value in rollout.reward_parts.items() if name != "correctness")
    return replace(rollout, reward=worth + beside)


def _added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(counts) + Counter(more))
