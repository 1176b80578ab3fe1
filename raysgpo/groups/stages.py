"""What happens to a group between sampling and training, as functions without Ray.

    reward -> judge -> credit -> advantage -> keep -> success_filter          a group at a time
                                                  -> over_step                all groups of a step

Each takes a group and returns a new one; a group that was dropped passes through untouched.

Shape legend: _G rollouts of a group.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from raysgpo.algorithms.advantages import group_advantages, group_std
from raysgpo.algorithms.partial_credit import partial_credit, trajectory_score
from raysgpo.config import AlgorithmConfig, PartialCreditConfig
from raysgpo.config.presets import Bonus
from raysgpo.groups.step_credit import step_credit
from raysgpo.groups.step_lengths import lengths, measured
from raysgpo.judging.judge import Outcome
from raysgpo.judging.panel import Panel
from raysgpo.judging.votes import majority
from raysgpo.records import CORRECTNESS, Drop, Group, Rollout, Verdict
from raysgpo.tasks.grader import Grader
from raysgpo.tasks.task import Grade, Task

_log = logging.getLogger(__name__)
OVERLONG = "overlong"
"""The reward part of ``algorithm.soft_overlong``."""


async def reward(group: Group, task: Task, grader: Grader, failed: str = "wrong") -> Group:
    """Grade every response, and measure its steps: ``correct``, ``reward_parts``, ``readings``, ``reasoning_steps``,
    ``given_steps`` and ``step_tokens``.

    A grading that failed is counted in ``group.counts``. With ``failed="wrong"`` the response is wrong,
    at the least correctness reward of the task; with ``"drop"`` its group is dropped, as is one with a
    reward that is no finite number, and one with an answer that the task does not know how to split.
    """
    if group.dropped is not None:
        return group
    grades = await grader.grades(group.problem, [rollout.text for rollout in group.rollouts_G])
    worst = {CORRECTNESS: task.reward_range[0]} if any(g.failure for g in grades) else {}
    rollouts = [
        _graded(rollout, replace(grade, parts=worst) if grade.failure else grade)
        for rollout, grade in zip(group.rollouts_G, grades, strict=True)
    ]
    failures = Counter(f"grader/{grade.failure}" for grade in grades if grade.failure is not None)
    group = replace(group.with_rollouts(rollouts), counts=_added(group.counts, failures))
    try:
        rollouts = [measured(rollout, task.split(rollout.text)) for rollout in rollouts]
    except Exception as raised:  # a task may raise anything on a model's text
        return _unsplit(group, raised)
    group = group.with_rollouts(rollouts)
    why = next((grade.why for grade in grades if grade.failure is not None), None)
    for grade in grades:
        if grade.failure is not None:
            _log.warning("grading an answer to problem %s failed: %s", group.problem.id, grade.why)
    if failures:
        group = replace(group, error=f"grading an answer failed ({', '.join(failures)}): {why}")
    bad = next((bad for rollout in rollouts if (bad := _bad_part(rollout)) is not None), None)
    dropped = bad is not None or (bool(failures) and failed == "drop")
    return replace(group, dropped=Drop.NO_REWARD, error=group.error or bad) if dropped else group


def overlong(group: Group, share: float, max_tokens: int) -> Group:
    """DAPO's soft penalty (eq. 13) as the reward part ``overlong``: 0 up to the last ``share`` of ``max_tokens``, then
    falling with the length of the answer to -1 at its end."""
    if group.dropped is not None:
        return group

    def punished(rollout: Rollout) -> Rollout:
        parts = {name: value for name, value in rollout.reward_parts.items() if name != OVERLONG}
        if share > 0:
            over = (rollout.answer_tokens - (1 - share) * max_tokens) / (share * max_tokens)
            parts[OVERLONG] = -min(max(over, 0.0), 1.0)
        return replace(rollout, reward_parts=parts)

    return group.with_rollouts([punished(rollout) for rollout in group.rollouts_G])


def bonus(group: Group, to: Bonus) -> Group:
    """Under ``right`` no reward part beside the correctness adds to a wrong answer; it may still take from it."""
    if group.dropped is not None:
        return group

    def settled(rollout: Rollout) -> Rollout:
        if to == "all" or rollout.correct:
            return replace(rollout, auxiliary=None)
        others = [value for name, value in rollout.reward_parts.items() if name != CORRECTNESS]
        return replace(rollout, auxiliary=float(sum(min(value, 0.0) for value in others)))

    return group.with_rollouts([settled(rollout) for rollout in group.rollouts_G])


async def judge(group: Group, task: Task, panel: Panel, credit: PartialCreditConfig) -> Group:
    """Ask for the first wrong step of the wrong answers, where this group may be judged.

    Fills ``votes``, ``verdict``, ``first_error`` and ``rts`` of the rollouts and measures their steps; fills
    ``judged``, ``judge_interval`` and ``counts``.

    A rollout whose votes are all lost, or find no error where there must be one (``none_found``), takes no part in
    the baseline: a plain reward of 0 would lie below every judged one. With fewer than two rollouts that take part,
    or none that was judged, the group counts as unjudged and keeps its plain rewards.
    """
    asked = _to_judge(group, credit)
    if not asked:
        return group
    start = time.time()
    try:
        steps = {index: task.split(group.rollouts_G[index].text) for index in asked}
    except Exception as raised:  # as in ``reward``, which groups of a file have not been through
        return _unsplit(group, raised)
    ended = {i: Outcome.CUT_OFF if group.rollouts_G[i].truncated else Outcome.WRONG for i in asked}
    ballots = await panel.votes(group.step, group.problem, {i: s for i, s in steps.items() if s}, ended)
    verdicts = {
        index: _judged(measured(group.rollouts_G[index], steps[index]), ballots.votes.get(index, []), credit)
        for index in asked
    }
    counts = _added(group.counts, ballots.counts)
    return replace(_with_verdicts(group, verdicts), judge_interval=(start, time.time()), counts=counts)


def judged_before(group: Group, credit: PartialCreditConfig) -> Group:
    """A group whose record says what the judge voted: its verdicts and scores under ``credit``, as ``judge`` has them.

    An answer whose record lacks its votes or the measure of its steps keeps the score that it says.
    """
    verdicts = {
        index: _judged(rollout, list(rollout.votes), credit)
        for index, rollout in enumerate(group.rollouts_G)
        if group.judged and not rollout.correct and can_be_scored(rollout)
    }
    return _with_verdicts(group, verdicts) if verdicts else group


def can_be_scored(rollout: Rollout) -> bool:
    """Whether the record of an answer holds what its RTS follows from, under any settings."""
    measured_before = rollout.given_steps is not None and rollout.step_tokens is not None
    return measured_before and (
        len(rollout.votes) > 0 or (rollout.reasoning_steps == 0 and rollout.verdict is not None)
    )


def credit(group: Group, config: PartialCreditConfig) -> Group:
    """SGPO's eq. 2: in a judged group the correctness part of a wrong answer becomes its partial credit.

    Other parts, such as format, are added beside it as they are. ``reward_parts`` stays what the
    grader gave.
    """
    if group.dropped is not None or not group.judged:
        return group
    return group.with_rollouts([_credited(rollout, config) for rollout in group.rollouts_G])


def advantage(group: Group, config: AlgorithmConfig) -> Group:
    """The baseline over the rollouts that take part in it, and the scale; the others get 0."""
    if group.dropped is not None:
        return group
    return group.with_rollouts(_compared(group.rollouts_G, config))


def _compared(rollouts_G: Sequence[Rollout], config: AlgorithmConfig) -> list[Rollout]:
    """Rollouts that are compared with one another, with their advantages."""
    part_G = np.array([rollout.in_baseline for rollout in rollouts_G], dtype=np.bool_)
    if config.learn_from == "right":
        advantages_G = np.array([float(bool(rollout.correct)) for rollout in rollouts_G]) * part_G
    else:
        advantages_G = group_advantages(
            np.array([rollout.graded for rollout in rollouts_G]),
            part_G,
            auxiliary_G=np.array([rollout.auxiliary_reward for rollout in rollouts_G]),
            baseline=config.baseline,
            r_min_correct=config.r_min_correct,
            scale="none" if config.scale == "step_std" else config.scale,  # the step's is known when it is whole
            ddof=config.std_ddof,
            eps=config.std_eps,
            fixed_scale=config.fixed_scale,
        )
    if config.learn_from == "positive":
        advantages_G = np.maximum(advantages_G, 0.0)
    advantages_G = advantages_G * np.where(advantages_G > 0, config.positive_weight, config.negative_weight)
    if config.mask_truncated:
        advantages_G = np.where([rollout.truncated for rollout in rollouts_G], 0.0, advantages_G)
    return [replace(r, advantage=float(a)) for r, a in zip(rollouts_G, advantages_G, strict=True)]


def keep(group: Group, rule: str = "nonzero_advantage") -> Group:
    """Drop a group that there is nothing to learn from. Comes after the baseline: equal rewards alone are
    no reason, since other baselines than the mean learn from them."""
    if group.dropped is not None or rule == "all":
        return group
    if rule == "reward_variance":
        return replace(group, dropped=Drop.EQUAL_REWARDS) if group.degenerate else group
    if any(rollout.advantage != 0 for rollout in group.rollouts_G):
        return group
    return replace(group, dropped=Drop.NO_SIGNAL)


def success_filter(group: Group, window: tuple[float, float] | None) -> Group:
    """Drop a group whose share of right answers does not lie strictly within the window, if there is one."""
    if group.dropped is not None or window is None:
        return group
    right = sum(bool(rollout.correct) for rollout in group.rollouts_G) / len(group.rollouts_G)
    return group if window[0] < right < window[1] else replace(group, dropped=Drop.FILTERED)


def over_step(groups_P: Sequence[Group], config: AlgorithmConfig) -> list[Group]:
    """What is decided over all groups of a step: a baseline and a scale over the step, the cap on negative mass. Then
    advantages are final, and each step of an answer gets its part.

    Only groups that are trained on take part, and only they are changed; but those without a signal count in the scale.
    """
    if config.needs_step:
        groups_P = _compared_over_step(groups_P, config)
    if config.scale == "step_std":
        groups_P = _scaled_over_step(groups_P, config)
    return [step_credit(group, config) for group in cap_negative_mass(groups_P, config.max_negative_mass)]


def _compared_over_step(groups_P: Sequence[Group], config: AlgorithmConfig) -> list[Group]:
    taking_part = [r for group in groups_P if group.dropped is None for r in group.rollouts_G]
    compared = iter(_compared(taking_part, config))
    return [
        keep(group.with_rollouts([next(compared) for _ in group.rollouts_G]), config.keep)
        if group.dropped is None
        else group
        for group in groups_P
    ]


def _scaled_over_step(groups_P: Sequence[Group], config: AlgorithmConfig) -> list[Group]:
    """Every advantage of the step over the standard deviation of all (REINFORCE++, arXiv 2501.03262)."""
    counted = [group for group in groups_P if group.dropped in (None, Drop.NO_SIGNAL)]
    advantages_R = np.array([[r.advantage for g in counted for r in g.rollouts_G if r.in_baseline]])
    divisor = float(group_std(advantages_R, ddof=config.std_ddof)[0, 0]) + config.std_eps if counted else 0.0

    def scaled(rollout: Rollout) -> Rollout:
        return replace(rollout, advantage=rollout.advantage / divisor if rollout.advantage else 0.0)

    return [g.with_rollouts([scaled(r) for r in g.rollouts_G]) if g.dropped is None else g for g in groups_P]


def cap_negative_mass(groups_P: Sequence[Group], most: float | None) -> list[Group]:
    """The groups of a step, their negative advantages scaled down together where they sum to more than ``most``.

    Only groups that are trained on count, and only they are changed.
    """
    mass = sum(-min(r.advantage, 0.0) for g in groups_P if g.dropped is None for r in g.rollouts_G)
    if most is None or mass <= most:
        return list(groups_P)

    def scaled(rollout: Rollout) -> Rollout:
        return replace(rollout, advantage=rollout.advantage * (most / mass)) if rollout.advantage < 0 else rollout

    return [g.with_rollouts([scaled(r) for r in g.rollouts_G]) if g.dropped is None else g for g in groups_P]


def _graded(rollout: Rollout, grade: Grade) -> Rollout:
    parts = {name: _number(value) for name, value in grade.parts.items()}
    return replace(rollout, correct=grade.correct, reward_parts=parts, readings=grade.readings)


def _unsplit(group: Group, raised: Exception) -> Group:
    """The group dropped, for an answer that the task could not split."""
    said = " ".join(str(raised).split())[:300]
    error = f"splitting an answer into reasoning steps failed: {type(raised).__name__}: {said}"
    return replace(group, dropped=Drop.NO_REWARD, error=error)


def _bad_part(rollout: Rollout) -> str | None:
    """What is wrong with the rewards of a response, None if nothing."""
    if CORRECTNESS not in rollout.reward_parts:
        return f"the grade of an answer has no reward part {CORRECTNESS!r}"
    if math.isfinite(rollout.reward):
        return None
    parts = ", ".join(f"{name}={value:g}" for name, value in rollout.reward_parts.items())
    return f"an answer's reward is no finite number: {parts}"


def _number(value: object) -> float:
    """A task's reward part as a float; NaN for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _to_judge(group: Group, credit: PartialCreditConfig) -> list[int]:
    """Indices of the rollouts whose first error matters; none if this group is not to be judged."""
    if group.dropped is not None or not group.judge or credit.kind == "none":
        return []
    if credit.groups == "all_negative" and not group.all_negative:
        return []
    return [index for index, rollout in enumerate(group.rollouts_G) if not rollout.correct]


def _judged(rollout: Rollout, votes: list[int | None], credit: PartialCreditConfig) -> Rollout:
    """The verdict of the votes on a measured response, and its RTS. One without steps needs none: nothing is wrong
    in it, RTS 0.

    The RTS is that of the free steps alone: true steps that were given must not inflate it.
    """
    steps = rollout.reasoning_steps
    no_vote = credit.none_found == "no_vote" and not rollout.truncated
    counted = [None if no_vote and vote == steps else vote for vote in votes]
    position = majority(counted) if steps else 0
    rollout = replace(rollout, votes=tuple(votes), first_error=None, rts=None)
    if position is None:
        verdict = Verdict.LOST if all(vote is None for vote in votes) else Verdict.NONE_FOUND
        return replace(rollout, verdict=verdict, in_baseline=False)
    first_error = position if steps and position < steps else None
    return replace(
        rollout,
        verdict=Verdict.NONE_FOUND if first_error is None else Verdict.ERROR,
        first_error=first_error,
        rts=trajectory_score(first_error, lengths(rollout, credit.rts), truncated=rollout.truncated),
        in_baseline=True,
    )


def _with_verdicts(group: Group, verdicts: Mapping[int, Rollout]) -> Group:
    """The group with these of its rollouts judged; unjudged where fewer than two take part, or none has a score."""
    rollouts = [verdicts.get(index, rollout) for index, rollout in enumerate(group.rollouts_G)]
    scored = any(rollout.rts is not None for rollout in rollouts)
    judged = scored and sum(rollout.in_baseline for rollout in rollouts) >= 2
    if not judged:
        rollouts = [replace(rollout, in_baseline=True) for rollout in rollouts]
    return replace(group.with_rollouts(rollouts), judged=judged)


def _credited(rollout: Rollout, config: PartialCreditConfig) -> Rollout:
    if rollout.correct or rollout.rts is None:
        return rollout
    worth = partial_credit(rollout.rts, kind=config.kind, beta=config.beta, gamma=config.gamma, scale=config.scale)
    return replace(rollout, credit=worth)


def _added(counts: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    return {name: counts.get(name, 0) + more.get(name, 0) for name in counts.keys() | more.keys()}
