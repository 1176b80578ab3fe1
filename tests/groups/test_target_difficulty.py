"""ADARFT's target: worked by hand, chosen by, and the same after a resume."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import Config, CurriculumConfig
from raysgpo.config.overrides import resolve
from raysgpo.groups.epoch_ranks import EpochRanks, State
from raysgpo.groups.order import Order
from raysgpo.groups.target_difficulty import TargetDifficulty
from raysgpo.groups.window import run_window
from raysgpo.records import Drop, Group, Problem, Role, Rollout, Segment

PROBLEMS = [Problem(f"p{i}", "?", "1", metadata={"difficulty": 10.0 * i}) for i in range(11)]
"""Difficulties 0, 10, ..., 100: the paper's range."""


def group_of(right: int, wrong: int, guided_right: int = 0, dropped: Drop | None = None) -> Group:
    def rollout(correct: bool, guided: bool = False) -> Rollout:
        segments = (Segment.given(Role.GUIDANCE, [1]),) if guided else ()
        return Rollout(segments, "", "stop", 0, (), correct=correct)

    rollouts = [rollout(True, guided=True)] * guided_right + [rollout(True)] * right + [rollout(False)] * wrong
    return Group(0, 0, 0, PROBLEMS[0], tuple(rollouts), dropped=dropped)


def settings(*words: str) -> Config:
    return resolve({}, overrides=["curriculum=target", "prompts_per_step=3", *words])


def target_of(**changed: float) -> TargetDifficulty:
    return TargetDifficulty(PROBLEMS, CurriculumConfig(order="target", **changed))


def test_the_papers_numbers_worked_by_hand() -> None:
    """eta 50 on 0 to 100, alpha 2, beta 0.5: at a share of 1 T rises by 50 tanh(1) = 38.08."""
    target = target_of()
    assert target.after(0) == 0
    shares = ((4, 0, 38.0797), (3, 1, 61.1856), (2, 2, 61.1856), (0, 4, 23.1059), (0, 4, 0.0))
    for step, (right, wrong, expected) in enumerate(shares, start=1):
        target.learn([group_of(right, wrong)])
        assert target.after(step) == pytest.approx(expected, abs=1e-4)
    assert math.isclose(target.after(1), 50 * math.tanh(2 * (1 - 0.5)))


def test_it_never_leaves_the_difficulties_that_there_are() -> None:
    target = target_of(target=250)
    assert target.after(0) == 100
    target.learn([group_of(4, 0)])
    assert target.after(1) == 100


def test_guided_answers_and_groups_without_rewards_say_nothing() -> None:
    target = target_of(target=50)
    target.learn([group_of(1, 3, guided_right=8), group_of(4, 0, dropped=Drop.NO_REWARD)])
    assert target.after(1) == pytest.approx(50 + 50 * math.tanh(2 * (0.25 - 0.5)))
    target.learn([group_of(0, 0, dropped=Drop.FAILED)])
    assert target.after(2) == target.after(1), "a step without a graded answer"


def ranking_of(config: Config, trained: int = 0, state: State | None = None) -> EpochRanks:
    window = run_window(config, trained, trained * config.prompts_per_step, 100)
    return EpochRanks(config, PROBLEMS, window, trained, state)


def chosen(ranking: EpochRanks, step: int) -> set[int]:
    """The problems of a step."""
    order = Order(len(PROBLEMS), 0, ranking, ranking.visits)
    return {order.at(position)[1] for position in range(3 * step, 3 * step + 3)}


def test_a_step_takes_the_nearest_and_may_take_them_again() -> None:
    ranking = ranking_of(settings("curriculum.target=50"))
    assert ranking.visits == 3 and chosen(ranking, 0) == {4, 5, 6}
    ranking.learn(0, [group_of(2, 2)])
    assert chosen(ranking, 1) == {4, 5, 6}
    ranking.learn(1, [group_of(4, 0)])
    assert chosen(ranking, 2) == {8, 9, 10}, "T is 88.1"
    row = ranking.metrics(2, [Group(0, 2, 0, PROBLEMS[place], ()) for place in (8, 9, 10)])
    assert row == {"curriculum/target": pytest.approx(88.0797, abs=1e-4), "curriculum/difficulty": 90.0}


def test_under_staleness_a_step_has_the_target_that_was_known_when_its_slots_opened() -> None:
    ranking = ranking_of(settings("curriculum.target=50", "max_staleness=1"))
    assert chosen(ranking, 0) == chosen(ranking, 1) == {4, 5, 6}
    ranking.learn(0, [group_of(4, 0)])
    assert chosen(ranking, 1) == {4, 5, 6} and chosen(ranking, 2) == {8, 9, 10}
    assert ranking.metrics(1, [])["curriculum/target"] == 50


def test_more_prompts_a_step_than_there_are_visit_all_of_them() -> None:
    ranking = ranking_of(settings("prompts_per_step=32"))
    assert ranking.visits == len(PROBLEMS)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(0, 9), st.integers(0, 2))
def test_a_resumed_target_goes_on_as_if_it_had_not_stopped(rights: list[int], stop: int, staleness: int) -> None:
    config, stop = settings(f"max_staleness={staleness}"), min(stop, len(rights))
    whole = ranking_of(config)
    for step, right in enumerate(rights):
        whole.learn(step, [group_of(right, 4 - right)])
    resumed = ranking_of(config, stop, json.loads(json.dumps(whole.state(stop))))
    whole.forget_before(stop)
    for step in range(stop, len(rights) + 1):
        assert [resumed(epoch) for epoch in range(step, step + staleness + 1)] == [
            whole(epoch) for epoch in range(step, step + staleness + 1)
        ]
        if step < len(rights):
            resumed.learn(step, [group_of(rights[step], 4 - rights[step])])
    assert resumed.state(len(rights)) == whole.state(len(rights))
