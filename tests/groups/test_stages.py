"""The stages from sampled text to advantage, with scripted judges and verifiers."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raysgpo.config import AlgorithmConfig, JudgeConfig, PartialCreditConfig
from raysgpo.config.algorithm import impossible_algorithm
from raysgpo.config.overrides import resolve
from raysgpo.groups import stages
from raysgpo.judging.panel import Panel
from raysgpo.output.group_json import group_from_row, group_row
from raysgpo.records import Drop, Group, Problem, Rollout, Verdict
from raysgpo.tasks.grader import InlineGrader
from raysgpo.tasks.task import Grade, Task
from tests.conftest import build_group, build_rollout
from tests.judging.scripted import Script, scripted

PROBLEM = Problem(id="p", prompt="2+3=?", answer="5", reference="secret")
SGPO = PartialCreditConfig(kind="sgpo")
ALL_WRONG = PartialCreditConfig(kind="sgpo", groups="all_wrong")
LAST_STEP = PartialCreditConfig(kind="sgpo", none_found="last_step")


class LineTask:
    """Right if the text ends in ``ok``; one step a line; ``hello`` earns the format part."""

    reward_range: tuple[float, float] = (0.0, 1.0)
    train: Sequence[Problem] = (PROBLEM,)
    held_out: Sequence[Problem] = ()

    def grade(self, problem: Problem, text: str) -> Grade:
        if "boom" in text:
            raise ZeroDivisionError("boom")
        right = text.endswith("ok")
        return Grade(right, {"correctness": float(right), "format": 0.1 * ("hello" in text)})

    def split(self, text: str) -> list[str]:
        return text.splitlines(keepends=True)


TASK: Task = LineTask()


def group_of(*texts: str, finish: str = "stop", may_judge: bool = True) -> Group:
    rollouts = tuple(
        Rollout(segments=(), text=text, finish_reason=finish, seed=100 + i, weight_versions=((0, 1),))
        for i, text in enumerate(texts)
    )
    return Group(position=0, step=0, epoch=0, problem=PROBLEM, rollouts_G=rollouts, judge=may_judge)


def graded(*texts: str, finish: str = "stop", may_judge: bool = True) -> Group:
    group = group_of(*texts, finish=finish, may_judge=may_judge)
    return asyncio.run(stages.reward(group, TASK, InlineGrader(TASK.grade)))


def judged(
    group: Group, judge: Script, credit: PartialCreditConfig = SGPO, votes: int = 1, deadline: float = 20.0
) -> Group:
    panel = Panel(scripted(judge), JudgeConfig(kind="rule", votes=votes, deadline=deadline))
    return asyncio.run(stages.judge(group, TASK, panel, credit))


def by_text(answers: Mapping[str, int | Exception | None]) -> Script:
    """A judge that answers by the text of the response; an exception among the answers is raised."""

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        answer = answers["".join(steps)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return judge


def losses(group: Group) -> dict[str, float]:
    """Lost calls by reason."""
    reasons = ("judge/parse_failures", "judge/timeouts", "judge/errors")
    return {name: group.counts[name] for name in reasons if name in group.counts}


async def forbidden(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
    raise AssertionError("this group must not be judged")


def test_reward_is_the_sum_of_the_named_parts() -> None:
    group = graded("hello\nok", "ok", "hello", "a\nb\nc")
    assert [r.correct for r in group.rollouts_G] == [True, True, False, False]
    assert [r.reward for r in group.rollouts_G] == [1.1, 1.0, 0.1, 0.0]
    assert [r.reasoning_steps for r in group.rollouts_G] == [2, 1, 1, 3]
    assert group.counts == {}


def test_a_bonus_is_for_right_answers_and_a_penalty_for_all() -> None:
    """An all-negative group in which one answer is well formed has no signal."""
    group = graded("hello\nok", "hello", "a\nb\nc")
    settled = stages.bonus(group, "right")
    assert [r.reward for r in settled.rollouts_G] == [1.1, 0.0, 0.0]
    assert [r.reward for r in stages.bonus(settled, "all").rollouts_G] == [1.1, 0.1, 0.0]
    failed = settled.with_rollouts([*settled.rollouts_G[1:]])
    assert stages.keep(stages.advantage(failed, AlgorithmConfig())).dropped is Drop.NO_SIGNAL
    rollouts = [replace(r, reward_parts=r.reward_parts | {"length": -0.2}) for r in failed.rollouts_G]
    late = failed.with_rollouts(rollouts)
    assert [r.reward for r in stages.bonus(late, "right").rollouts_G] == [-0.2, -0.2]


@pytest.mark.parametrize(("tokens", "penalty"), [(1, 0.0), (80, 0.0), (90, -0.5), (100, -1.0)])
def test_the_overlong_penalty_by_hand(tokens: int, penalty: float) -> None:
    """DAPO's eq. 13 for 100 tokens, the last 20 of which are punished."""
    group = build_group(rollouts=[build_rollout(tokens=tokens)])
    parts = stages.overlong(group, 0.2, 100).rollouts_G[0].reward_parts
    assert parts == group.rollouts_G[0].reward_parts | {"overlong": pytest.approx(penalty)}
    assert stages.overlong(stages.overlong(group, 0.2, 100), 0.0, 100) == group


def test_an_answer_that_was_cut_off_may_be_left_out_of_the_loss_and_still_be_compared() -> None:
    group = graded("ok", "a")
    cut = group.with_rollouts([group.rollouts_G[0], replace(group.rollouts_G[1], finish_reason="length")])
    config = AlgorithmConfig(scale="none", mask_truncated=True)
    assert [r.advantage for r in stages.advantage(cut, config).rollouts_G] == [0.5, 0.0]
    assert [r.advantage for r in stages.advantage(group, config).rollouts_G] == [0.5, -0.5]


def test_a_verifier_that_raises_makes_a_wrong_answer_and_a_count() -> None:
    group = graded("boom ok", "ok", "boom")
    assert [r.correct for r in group.rollouts_G] == [False, True, False]
    assert [r.reward for r in group.rollouts_G] == [0.0, 1.0, 0.0]
    assert group.counts == {"grader/errors": 2}


@pytest.mark.parametrize(
    ("group", "credit"),
    [
        (graded("a", "ok"), SGPO),  # mixed
        (graded("a", "b", may_judge=False), SGPO),  # after the judged epochs
        (graded("a", "b"), PartialCreditConfig(kind="none")),
        (graded("ok", "ok"), ALL_WRONG),  # nothing wrong
        (replace(graded("a", "b"), dropped=Drop.FAILED), SGPO),
    ],
)
def test_who_is_not_judged_comes_back_as_it_was(group: Group, credit: PartialCreditConfig) -> None:
    assert judged(group, forbidden, credit) is group


def test_no_error_in_an_answer_that_ended_wrong_is_no_vote() -> None:
    group = graded("a\nb\nc\nd", "e\nf", "g\nhello")
    group = judged(group, by_text({"a\nb\nc\nd": 3, "e\nf": 0, "g\nhello": 2}))
    third = group.rollouts_G[2]
    assert (third.verdict, third.first_error, third.rts, third.votes) == (Verdict.NONE_FOUND, None, None, (2,))
    assert [r.in_baseline for r in group.rollouts_G] == [True, True, False] and group.judged
    advantages = stages.advantage(stages.credit(group, SGPO), resolve({}, overrides=["algorithm=sgpo"]).algorithm)
    assert advantages.rollouts_G[2].advantage == 0.0 and advantages.rollouts_G[0].advantage > 0


def test_of_several_votes_those_that_find_nothing_in_a_wrong_answer_do_not_count() -> None:
    nothing, found = 2, 1
    for votes, verdict in (((nothing, nothing, found), Verdict.ERROR), ((nothing, nothing), Verdict.NONE_FOUND)):
        rollout = graded("a\nb", "c\nd").rollouts_G[0]
        one = stages._judged(rollout, list(votes), SGPO)
        assert (one.verdict, one.first_error) == (verdict, found if verdict is Verdict.ERROR else None)
        other = stages._judged(rollout, list(votes), LAST_STEP)
        assert (other.verdict, other.rts, other.in_baseline) == (Verdict.NONE_FOUND, 0.5, True)


def test_verdicts_scores_and_credit_of_an_all_negative_group() -> None:
    group = graded("a\nb\nc\nd", "e\nf", "g\nhello")
    last_step = PartialCreditConfig(kind="sgpo", none_found="last_step")
    group = judged(group, by_text({"a\nb\nc\nd": 3, "e\nf": 0, "g\nhello": 2}), last_step)
    first, second, third = group.rollouts_G
    assert (first.verdict, first.first_error, first.rts, first.votes) == (Verdict.ERROR, 3, 0.75, (3,))
    assert (second.verdict, second.first_error, second.rts) == (Verdict.ERROR, 0, 0.0)
    # It ended, it is wrong, and no step is: its error lies in the last of its two steps.
    assert (third.verdict, third.first_error, third.rts, third.votes) == (Verdict.NONE_FOUND, None, 0.5, (2,))
    assert group.judged and 0 < group.judge_interval[0] <= group.judge_interval[1]
    rewards = [r.reward for r in stages.credit(group, SGPO).rollouts_G]
    assert rewards == pytest.approx([1 / (1 + math.exp(-2.5)), 1 / (1 + math.exp(5)), 0.5 + 0.1], rel=1e-12)
    raw = stages.credit(group, PartialCreditConfig(kind="raw", scale=0.5))
    assert [r.reward for r in raw.rollouts_G] == pytest.approx([0.375, 0.0, 0.35])
    assert raw.rollouts_G[2].reward_parts == {"correctness": 0.0, "format": 0.1}


def test_a_response_cut_off_without_an_error_is_true_so_far() -> None:
    group = judged(graded("a\nb", "c\nd", finish="length"), by_text({"a\nb": 2, "c\nd": 1}))
    assert [r.rts for r in group.rollouts_G] == [1.0, 0.5]


def test_an_empty_response_scores_0_without_asking() -> None:
    group = judged(graded("", "a\nb"), by_text({"a\nb": 1}))
    assert [r.rts for r in group.rollouts_G] == [0.0, 0.5]
    assert group.rollouts_G[0].votes == () and group.judged


def test_all_wrong_judges_the_wrong_answers_of_a_mixed_group_only() -> None:
    group = judged(graded("a\nb", "b\nok"), by_text({"a\nb": 1}), ALL_WRONG)
    assert [r.rts for r in group.rollouts_G] == [0.5, None]
    assert [r.reward for r in stages.credit(group, ALL_WRONG).rollouts_G] == [0.5, 1.0]


def test_the_majority_of_the_votes_decides_and_each_has_its_own_seed() -> None:
    seeds: list[int] = []
    answers = iter([1, 3, 3, 2, 2, 0, 1, 4])

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        seeds.append(seed)
        return next(answers)

    group = judged(graded("a\nb\nc\nd", "e\nf\ng\nh"), judge, votes=4)
    assert [r.votes for r in group.rollouts_G] == [(1, 3, 3, 2), (2, 0, 1, 4)]
    # A majority for 3; all different, so the lower median.
    assert [r.first_error for r in group.rollouts_G] == [3, 1]
    assert len(set(seeds)) == 8
    again = seeds.copy()
    seeds.clear()
    answers = iter([1, 3, 3, 2, 2, 0, 1, 4])
    judged(graded("a\nb\nc\nd", "e\nf\ng\nh"), judge, votes=4)
    assert seeds == again, "a group that is judged again gets the same seeds"


def test_every_way_to_lose_a_vote_is_counted_and_leaves_the_baseline() -> None:
    group = graded("a\nb", "c", "d", "e", "f\ng")
    answers: dict[str, int | Exception | None] = {"a\nb": 1, "c": OSError("no judge"), "d": None, "e": 7, "f\ng": 0}
    group = judged(group, by_text(answers))
    assert [r.verdict for r in group.rollouts_G] == ["error", "lost", "lost", "lost", "error"]
    assert [r.votes for r in group.rollouts_G] == [(1,), (None,), (None,), (None,), (0,)]
    assert [r.in_baseline for r in group.rollouts_G] == [True, False, False, False, True]
    assert losses(group) == {"judge/errors": 1, "judge/parse_failures": 2}
    group = stages.advantage(stages.credit(group, SGPO), AlgorithmConfig())
    high, low = 0.5, 1 / (1 + math.exp(5))
    expected = (high - low) / 2 / (statistics.stdev([high, low]) + 1e-6)
    advantages = [r.advantage for r in group.rollouts_G]
    assert advantages == pytest.approx([expected, 0, 0, 0, -expected], rel=1e-12)
    assert advantages[1:4] == [0, 0, 0]


def test_one_lost_vote_of_several_is_dropped() -> None:
    answers = iter([2, None, 2, 0, None, 0])

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        return next(answers)

    group = judged(graded("a\nb\nc", "d\ne\nf"), judge, votes=3)
    assert [r.first_error for r in group.rollouts_G] == [2, 0]
    assert group.rollouts_G[0].votes == (2, None, 2)


def test_with_fewer_than_two_judged_rollouts_the_group_counts_as_unjudged() -> None:
    lost = ValueError("unreadable")
    group = judged(graded("a\nb", "c", "d"), by_text({"a\nb": 1, "c": lost, "d": lost}))
    assert not group.judged and all(r.in_baseline for r in group.rollouts_G)
    group = stages.keep(stages.advantage(stages.credit(group, SGPO), AlgorithmConfig()))
    assert [r.reward for r in group.rollouts_G] == [0.0, 0.0, 0.0]
    assert group.dropped is Drop.NO_SIGNAL


def test_a_mixed_group_without_any_verdict_keeps_its_plain_rewards() -> None:
    group = judged(graded("a", "ok", "ok"), by_text({"a": ValueError("unreadable")}), ALL_WRONG)
    assert not group.judged
    group = stages.advantage(group, AlgorithmConfig())
    assert group.rollouts_G[0].advantage < 0 < group.rollouts_G[1].advantage


async def _hangs() -> None:
    await asyncio.sleep(3600)


async def _swallows_its_cancellation() -> None:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("wait", [_hangs, _swallows_its_cancellation])
def test_a_hung_judge_costs_one_deadline_for_all_votes_together(wait: Callable[[], Awaitable[None]]) -> None:
    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        if "hang" in steps[0]:
            await wait()
        return 0

    start = time.monotonic()
    group = judged(graded("a", "b", "hang", "hang too"), judge, votes=2, deadline=0.2)
    assert time.monotonic() - start < 25
    assert [r.verdict for r in group.rollouts_G] == ["error", "error", "lost", "lost"]
    assert losses(group) == {"judge/timeouts": 4}
    assert group.judged


def test_a_judge_that_is_cancelled_from_within_loses_its_vote() -> None:
    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        if steps == ["a"]:
            raise asyncio.CancelledError
        return 0

    group = judged(graded("a", "b", "c"), judge)
    assert [r.verdict for r in group.rollouts_G] == ["lost", "error", "error"]
    assert losses(group) == {"judge/errors": 1}


def test_votes_are_asked_for_concurrently() -> None:
    waiting = 0
    everyone = asyncio.Event()

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        nonlocal waiting
        waiting += 1
        if waiting == 6:
            everyone.set()
        await everyone.wait()
        return 0

    group = judged(graded("a", "b"), judge, votes=3)
    assert losses(group) == {} and all(r.votes == (0, 0, 0) for r in group.rollouts_G)


def test_advantages_follow_equation_1() -> None:
    group = stages.advantage(graded("ok", "a", "b", "c"), AlgorithmConfig(std_eps=0.0))
    assert [r.advantage for r in group.rollouts_G] == pytest.approx([1.5, -0.5, -0.5, -0.5])
    unscaled = stages.advantage(graded("ok", "a"), AlgorithmConfig(scale="none"))
    assert [r.advantage for r in unscaled.rollouts_G] == [0.5, -0.5]


def test_keep_looks_at_advantages_and_not_at_rewards() -> None:
    equal = graded("ok", "ok")
    assert stages.keep(stages.advantage(equal, AlgorithmConfig())).dropped is Drop.NO_SIGNAL
    bare = AlgorithmConfig(baseline="none", scale="none")
    assert stages.keep(stages.advantage(equal, bare)).dropped is None
    mixed = stages.advantage(graded("ok", "a"), AlgorithmConfig())
    assert stages.keep(mixed) is mixed


def test_a_dropped_group_passes_through_untouched() -> None:
    group = replace(group_of(), dropped=Drop.FAILED, error="no replica")
    assert asyncio.run(stages.reward(group, TASK, InlineGrader(TASK.grade))) is group
    assert judged(group, forbidden) is group
    assert stages.credit(group, SGPO) is group
    assert stages.advantage(group, AlgorithmConfig()) is group
    assert stages.keep(group) is group


class Ordinal(LineTask):
    """The reward is what the text says; ``reward_range`` lies below zero."""

    reward_range = (-4.6, -0.01)

    def grade(self, problem: Problem, text: str) -> Grade:
        if text == "boom":
            raise ZeroDivisionError("boom")
        parts = {"correctness": float(text), "format": 0.25} if text != "none" else {"format": 0.25}
        return Grade(parts.get("correctness", 0) >= -0.7, parts)


def ordinal(*texts: str, failed: str = "wrong") -> Group:
    task = Ordinal()
    return asyncio.run(stages.reward(group_of(*texts), task, InlineGrader(task.grade), failed))


CORPO = AlgorithmConfig(baseline="corpo", scale="none", r_min_correct=-0.7)


def test_ordinal_rewards_have_their_threshold_on_the_correctness_part_alone() -> None:
    group = stages.advantage(ordinal("-0.9", "-0.5", "-4"), CORPO)
    assert [r.graded for r in group.rollouts_G] == [-0.9, -0.5, -4.0]
    assert [r.reward for r in group.rollouts_G] == pytest.approx([-0.65, -0.25, -3.75])
    assert [r.advantage for r in group.rollouts_G] == pytest.approx([-0.2, 0.2, -3.3])
    above = stages.advantage(ordinal("-0.6", "-0.2"), CORPO)
    assert [r.advantage for r in above.rollouts_G] == pytest.approx([-0.2, 0.2]), "the mean, once it is above"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nan", "an answer's reward is no finite number: correctness=nan, format=0.25"),
        ("inf", "an answer's reward is no finite number: correctness=inf, format=0.25"),
        ("none", "the grade of an answer has no reward part 'correctness'"),
    ],
)
def test_a_reward_that_is_no_number_drops_its_group_with_the_reason(text: str, error: str) -> None:
    group = ordinal("-0.5", text)
    assert (group.dropped, group.error) == (Drop.NO_REWARD, error)
    assert [r.text for r in group.rollouts_G] == ["-0.5", text]
    assert judged(group, forbidden) is group
    assert stages.keep(stages.advantage(group, CORPO)) is group
    row = json.loads(json.dumps(group_row(group), allow_nan=False))
    assert row["rollouts"][1]["reward"] is None and row["rollouts"][0]["reward"] == -0.25


def test_a_failed_grading_is_worth_the_least_or_drops_its_group() -> None:
    wrong = ordinal("-0.5", "boom")
    assert wrong.dropped is None and wrong.rollouts_G[1].reward == -4.6, "zero would be the best reward there is"
    dropped = ordinal("-0.5", "boom", failed="drop")
    assert (dropped.dropped, dropped.error) == (
        Drop.NO_REWARD,
        "grading an answer failed (grader/errors): ZeroDivisionError: boom",
    )
    assert dropped.counts == wrong.counts == {"grader/errors": 1}


class Unsplittable(LineTask):
    def split(self, text: str) -> list[str]:
        if "{" in text:
            raise ValueError("unbalanced\nbrace")
        return super().split(text)


def test_an_answer_that_the_task_cannot_split_drops_its_group_with_the_reason() -> None:
    task = Unsplittable()
    group = asyncio.run(stages.reward(group_of("a", "{ ok"), task, InlineGrader(task.grade)))
    reason = "splitting an answer into reasoning steps failed: ValueError: unbalanced brace"
    assert (group.dropped, group.error) == (Drop.NO_REWARD, reason)
    assert [(r.correct, r.reward, r.reasoning_steps) for r in group.rollouts_G] == [
        (False, 0.0, None),
        (True, 1.0, None),
    ]
    assert json.loads(json.dumps(group_row(group), allow_nan=False))["error"] == reason


def test_a_group_of_a_file_whose_answer_cannot_be_split_is_dropped_before_its_judge_is_asked() -> None:
    panel = Panel(scripted(forbidden), JudgeConfig(kind="rule"))
    group = asyncio.run(stages.judge(graded("a", "{"), Unsplittable(), panel, SGPO))
    assert group.dropped is Drop.NO_REWARD and group.error is not None and "unbalanced brace" in group.error


def test_what_is_learnt_from() -> None:
    group = graded("ok", "a", "b", "ok")
    right = stages.advantage(group, AlgorithmConfig(learn_from="right"))
    assert [r.advantage for r in right.rollouts_G] == [1, 0, 0, 1]
    positive = stages.advantage(group, AlgorithmConfig(learn_from="positive", scale="none"))
    assert [r.advantage for r in positive.rollouts_G] == [0.5, 0, 0, 0.5]
    assert (
        stages.keep(stages.advantage(graded("a", "b"), AlgorithmConfig(learn_from="right"))).dropped is Drop.NO_SIGNAL
    )


def test_the_steps_std_divides_the_differences_of_all_its_groups() -> None:
    """By hand: differences 1/2, -1/2 | 0, 0: the population's std is sqrt(1/8)."""
    config = AlgorithmConfig(scale="step_std", std_ddof=0, std_eps=0.0)
    groups = [stages.keep(stages.advantage(group, config)) for group in (graded("ok", "a"), graded("ok", "ok"))]
    first, second = stages.over_step(groups, config)
    assert [r.advantage for r in first.rollouts_G] == pytest.approx([math.sqrt(2), -math.sqrt(2)])
    assert second.dropped is Drop.NO_SIGNAL
    whole = AlgorithmConfig(baseline="step_mean", scale="step_std", std_ddof=0, std_eps=0.0)
    found = stages.over_step([graded("ok", "a"), graded("ok", "ok")], whole)
    normalised = [r.advantage for group in found for r in group.rollouts_G]
    assert normalised == pytest.approx([math.sqrt(1 / 3), -math.sqrt(3), math.sqrt(1 / 3), math.sqrt(1 / 3)])
    with_weights = AlgorithmConfig(scale="step_std", negative_weight=0.5)
    assert impossible_algorithm(with_weights, 8, None) is not None and impossible_algorithm(whole, 8, None) is None


def test_each_sign_has_its_weight() -> None:
    group = graded("ok", "a", "b", "ok")
    config = AlgorithmConfig(scale="none", positive_weight=3.0, negative_weight=0.5)
    assert [r.advantage for r in stages.advantage(group, config).rollouts_G] == [1.5, -0.25, -0.25, 1.5]
    without = stages.advantage(group, AlgorithmConfig(scale="none", negative_weight=0.0))
    positive = stages.advantage(group, AlgorithmConfig(scale="none", learn_from="positive"))
    assert [r.advantage for r in without.rollouts_G] == [r.advantage for r in positive.rollouts_G]


def test_what_is_kept() -> None:
    alike = stages.advantage(graded("a", "b"), AlgorithmConfig(baseline="static", scale="none", r_min_correct=0.5))
    assert stages.keep(alike).dropped is None
    assert stages.keep(alike, "reward_variance").dropped is Drop.EQUAL_REWARDS
    silent = stages.advantage(graded("a", "b"), AlgorithmConfig())
    assert stages.keep(silent, "all") is silent
    mixed = stages.advantage(graded("ok", "b"), AlgorithmConfig())
    assert stages.keep(mixed, "reward_variance") is mixed


def test_the_negative_mass_is_capped_over_the_groups_that_are_trained_on() -> None:
    config = AlgorithmConfig(baseline="static", scale="none", r_min_correct=0.5)
    groups = [stages.advantage(graded("ok", "a"), config), stages.advantage(graded("a", "b", "c"), config)]
    groups.append(replace(groups[1], dropped=Drop.TOO_OLD))
    assert stages.cap_negative_mass(groups, None) == stages.cap_negative_mass(groups, 2.0) == groups
    capped = stages.cap_negative_mass(groups, 1.0)
    assert [[r.advantage for r in g.rollouts_G] for g in capped] == [[0.5, -0.25], [-0.25] * 3, [-0.5] * 3]


@pytest.mark.parametrize(
    ("characters", "error", "finish", "rts"),
    [
        (0, 2, "stop", 2 / 4),
        (4, 2, "stop", 0.0),  # 2 of 4 given, and the first free one is wrong
        (2, 2, "stop", 1 / 3),
        (3, 2, "stop", 1 / 3),  # the second step is the policy's own: it finished it
        (6, 1, "stop", 0.0),  # an error in what was given is none of the policy's merits
        (2, None, "stop", 2 / 3),  # ended wrong, no error found: it lies in the last step
        (2, None, "length", 1.0),
        (8, None, "length", 0.0),  # it did no step of its own
    ],
)
def test_the_rts_is_that_of_the_free_steps(characters: int, error: int | None, finish: str, rts: float) -> None:
    text = "a\nb\nc\nd\n"
    group = graded(text, text, finish=finish)
    group = group.with_rollouts([replace(r, guidance_characters=characters) for r in group.rollouts_G])
    found = judged(group, by_text({text: 4 if error is None else error}), LAST_STEP)
    assert [r.rts for r in found.rollouts_G] == pytest.approx([rts, rts])
    assert found.rollouts_G[0].first_error == error


# --- by tokens ---

TOKENS = PartialCreditConfig(kind="sgpo", rts="tokens", none_found="last_step")


def sampled(text: str, tokens: int, ends: Sequence[int] | None = None, **changes: Any) -> Rollout:
    """An answer of so many tokens; ``ends``: the characters of the text that are said once each is."""
    ends_T = None if ends is None else np.array(ends, dtype=np.int32)
    return build_rollout(text, tokens=tokens, reasoning_steps=None, text_ends_T=ends_T, **changes)


def measured_group(*rollouts: Rollout) -> Group:
    """Graded groups of such answers."""
    group = replace(group_of(), rollouts_G=rollouts)
    return asyncio.run(stages.reward(group, TASK, InlineGrader(TASK.grade)))


@pytest.mark.parametrize(
    ("error", "finish", "by_steps", "by_tokens"),
    [
        (0, "stop", 0.0, 0.0),
        (1, "stop", 1 / 3, 1 / 8),
        (2, "stop", 2 / 3, 6 / 8),
        (2, "length", 2 / 3, 6 / 8),
        (None, "stop", 2 / 3, 6 / 8),  # ended wrong, no error found: it lies in the last step
        (None, "length", 1.0, 1.0),
    ],
)
def test_the_rts_counts_steps_or_their_tokens(
    error: int | None, finish: str, by_steps: float, by_tokens: float
) -> None:
    """Steps of 1, 5 and 1 tokens, and the end of the turn."""
    text = "a\nbbbbb\nc"
    answer = sampled(text, 8, [2, 3, 4, 5, 6, 8, 9, 9], finish_reason=finish)
    judge = by_text({text: 3 if error is None else error})
    for credit, rts in ((LAST_STEP, by_steps), (TOKENS, by_tokens)):
        group = judged(measured_group(answer, answer), judge, credit)
        assert [r.rts for r in group.rollouts_G] == [rts, rts]
        assert group.rollouts_G[0].step_tokens == (1, 5, 2)


@pytest.mark.parametrize(
    ("characters", "ends", "error", "rts"),
    [
        (2, [1, 2, 3, 4, 4], 2, 2 / 5),  # the first step was given; "b\n" is two of five tokens
        (3, [1, 3, 3], 2, 1 / 3),  # the second was begun, and the policy's one token finished it
        (2, [2, 3, 4, 4, 4], 0, 0.0),  # an error in what was given
        (4, [2, 2], 2, 0.0),
        (6, [0], None, 0.0),  # nothing but the end of the turn is its own
    ],
)
def test_by_tokens_guidance_earns_nothing(characters: int, ends: list[int], error: int | None, rts: float) -> None:
    text = "a\nb\nc\n"
    answer = sampled(text, len(ends), ends, guidance_characters=characters)
    group = judged(measured_group(answer, answer), by_text({text: 3 if error is None else error}), TOKENS)
    assert group.rollouts_G[0].rts == rts


def test_by_tokens_no_error_in_an_answer_that_ended_wrong_is_no_vote_either() -> None:
    group = measured_group(sampled("a\nb", 3), sampled("c\nd", 3), sampled("e\nf", 3))
    no_vote = PartialCreditConfig(kind="sgpo", rts="tokens")
    found = judged(group, by_text({"a\nb": 1, "c\nd": 0, "e\nf": 2}), no_vote)
    assert [r.rts for r in found.rollouts_G] == [2 / 3, 0.0, None] and not found.rollouts_G[2].in_baseline


def test_by_tokens_an_empty_response_scores_0() -> None:
    group = judged(measured_group(sampled("", 1, [0]), sampled("a\nb", 3)), by_text({"a\nb": 1}), TOKENS)
    assert [r.rts for r in group.rollouts_G] == [0.0, 2 / 3] and group.rollouts_G[0].step_tokens == ()


def test_a_record_is_scored_again_by_the_settings_of_now_without_a_judge() -> None:
    """By steps, by tokens, and by what it means that no error was found; each as if it had been judged so."""
    texts = {"a\nbbbb": 1, "cccc\nd": 1, "e\nf": 2}
    group = measured_group(*(sampled(text, 6) for text in texts))
    for before, now in itertools.product((SGPO, LAST_STEP, TOKENS), repeat=2):
        found = judged(group, by_text(texts), before)
        back = group_from_row(json.loads(json.dumps(group_row(found, tokens=True))))
        again, expected = stages.judged_before(back, now), judged(group, by_text(texts), now)
        assert [facts(r) for r in again.rollouts_G] == [facts(r) for r in expected.rollouts_G]
        assert again.judged == expected.judged
    assert [facts(r)[3] for r in again.rollouts_G] == [2 / 6, 5 / 6, 4 / 6]


def facts(rollout: Rollout) -> tuple[object, ...]:
    return rollout.verdict, rollout.votes, rollout.first_error, rollout.rts, rollout.in_baseline


def test_a_verdict_that_says_its_score_alone_keeps_it() -> None:
    said = replace(group_of("a\nb", "c\nd").rollouts_G[0], verdict=Verdict.ERROR, rts=0.4, correct=False)
    group = replace(group_of(), rollouts_G=(said, said), judged=True)
    assert not stages.can_be_scored(said) and stages.judged_before(group, SGPO) is group


@pytest.mark.parametrize(("right", "kept"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
def test_the_open_window_drops_both_extremes(right: int, kept: bool) -> None:
    group = graded(*["ok"] * right, *["no"] * (4 - right))
    assert (stages.success_filter(group, (0, 1)).dropped is None) == kept
    assert stages.success_filter(group, None) == group


def test_the_bounds_of_the_window_lie_outside_of_it() -> None:
    group = graded("ok", "no", "no", "no")
    dropped = [stages.success_filter(group, window).dropped for window in ((0.25, 0.5), (0.2, 0.8), (0.0, 0.25))]
    assert dropped == [Drop.FILTERED, None, Drop.FILTERED]
    failed = replace(group, dropped=Drop.FAILED, rollouts_G=())
    assert stages.success_filter(failed, (0, 1)) == failed
