"""The order of an epoch by measured success: fixed when its first slot opens, the same after a resume."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from raysgpo.conductor.ranking import Ranking
from raysgpo.config import Config
from raysgpo.overrides import resolve
from raysgpo.records import Group, Problem, Role, Rollout, Segment

PROBLEMS = [Problem(f"p{i}", "?", "1", metadata={"difficulty": 3 - i}) for i in range(4)]


def settings(*words: str) -> Config:
    return resolve({}, overrides=["curriculum=success", "prompts_per_step=2", *words])


def group_of(problem: int, right: int, wrong: int, guided_right: int = 0) -> Group:
    def rollout(correct: bool, guided: bool = False) -> Rollout:
        segments = (Segment.given(Role.GUIDANCE, [1]),) if guided else ()
        return Rollout(segments, "", "stop", 0, (), correct=correct)

    rollouts = [rollout(True, guided=True)] * guided_right + [rollout(True)] * right + [rollout(False)] * wrong
    return Group(0, 0, 0, PROBLEMS[problem], tuple(rollouts))


def test_the_first_epoch_is_random_and_the_second_goes_by_what_was_measured() -> None:
    ranking = Ranking(settings(), PROBLEMS)
    assert ranking(0) == [-0.5] * 4, "equal ranks: the order's own shuffle"
    ranking.learn(0, [group_of(0, right=0, wrong=4), group_of(2, right=3, wrong=1)])
    ranking.learn(1, [group_of(1, right=4, wrong=0)])
    assert ranking(1) == [0.0, -1.0, -0.75, -0.5]
    ranking.learn(2, [group_of(0, right=4, wrong=0)])
    assert ranking(1) == [0.0, -1.0, -0.75, -0.5], "an epoch keeps its order"


def test_guided_success_says_nothing_of_the_problem() -> None:
    ranking = Ranking(settings(), PROBLEMS)
    ranking.learn(0, [group_of(0, right=1, wrong=3, guided_right=4), group_of(1, right=0, wrong=0, guided_right=2)])
    ranking.learn(1, [])
    assert ranking(1) == [-0.25, -1.0, -0.5, -0.5], "where all are guided there is nothing better"


def test_under_staleness_an_epoch_knows_what_was_known_when_its_first_slot_opened() -> None:
    ranking = Ranking(settings("max_staleness=1"), PROBLEMS)
    ranking.learn(0, [group_of(0, right=4, wrong=0)])
    assert ranking(1) == [-1.0, -0.5, -0.5, -0.5]
    ranking.learn(1, [group_of(1, right=4, wrong=0)])
    assert ranking(1) == [-1.0, -0.5, -0.5, -0.5]


def test_the_data_can_decide_alone() -> None:
    assert Ranking(settings("curriculum=difficulty"), PROBLEMS)(5) == [3, 2, 1, 0]
    assert Ranking(settings("curriculum=random"), PROBLEMS)(0) is None


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=9),
    st.integers(0, 9),
    st.integers(0, 2),
    st.integers(1, 9),
)
def test_a_resumed_ranking_goes_on_as_if_it_had_not_stopped(
    results: list[tuple[int, int]], stop: int, staleness: int, prompts_per_step: int
) -> None:
    config = settings(f"max_staleness={staleness}", f"prompts_per_step={prompts_per_step}")
    stop = min(stop, len(results))
    whole = Ranking(config, PROBLEMS)
    for step, (problem, right) in enumerate(results):
        whole.learn(step, [group_of(problem, right, 4 - right)])
    resumed = Ranking(config, PROBLEMS, stop, json.loads(json.dumps(whole.state(stop))))
    first = stop * prompts_per_step // len(PROBLEMS)
    for step in range(stop, len(results) + 1):
        last = ((step + staleness + 1) * prompts_per_step - 1) // len(PROBLEMS)
        assert [resumed(epoch) for epoch in range(first, last + 1)] == [whole(e) for e in range(first, last + 1)]
        if step < len(results):
            problem, right = results[step]
            resumed.learn(step, [group_of(problem, right, 4 - right)])
    assert resumed.state(len(results)) == whole.state(len(results))
