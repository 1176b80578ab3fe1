"""The order of an epoch by measured success: fixed when its first slot opens, the same after a resume."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.groups.epoch_ranks import EpochRanks, State
from raysgpo.groups.window import run_window
from raysgpo.records import Drop, Group, Problem, Role, Rollout, Segment

PROBLEMS = [Problem(f"p{i}", "?", "1", metadata={"difficulty": 3 - i}) for i in range(4)]


def settings(*words: str) -> Config:
    return resolve({}, overrides=["curriculum=success", "prompts_per_step=2", *words])


def ranking_of(config: Config, trained: int = 0, state: State | None = None, position: int | None = None) -> EpochRanks:
    """``position``: where the step after ``trained`` steps begins; without refilling it follows."""
    position = trained * config.prompts_per_step if position is None else position
    return EpochRanks(config, PROBLEMS, run_window(config, trained, position, 100), trained, state)


def group_of(problem: int, right: int, wrong: int, guided_right: int = 0) -> Group:
    def rollout(correct: bool, guided: bool = False) -> Rollout:
        segments = (Segment.given(Role.GUIDANCE, [1]),) if guided else ()
        return Rollout(segments, "", "stop", 0, (), correct=correct)

    rollouts = [rollout(True, guided=True)] * guided_right + [rollout(True)] * right + [rollout(False)] * wrong
    return Group(0, 0, 0, PROBLEMS[problem], tuple(rollouts))


def test_the_first_epoch_is_random_and_the_second_goes_by_what_was_measured() -> None:
    ranking = ranking_of(settings())
    assert ranking(0) == [-0.5] * 4, "equal ranks: the order's own shuffle"
    ranking.learn(0, [group_of(0, right=0, wrong=4), group_of(2, right=3, wrong=1)])
    ranking.learn(1, [group_of(1, right=4, wrong=0)])
    assert ranking(1) == [0.0, -1.0, -0.75, -0.5]
    ranking.learn(2, [group_of(0, right=4, wrong=0)])
    assert ranking(1) == [0.0, -1.0, -0.75, -0.5], "an epoch keeps its order"


def test_guided_success_says_nothing_of_the_problem() -> None:
    ranking = ranking_of(settings())
    ranking.learn(0, [group_of(0, right=1, wrong=3, guided_right=4), group_of(1, right=0, wrong=0, guided_right=2)])
    ranking.learn(1, [])
    assert ranking(1) == [-0.25, -1.0, -0.5, -0.5], "where all are guided there is nothing better"


def test_under_staleness_an_epoch_knows_what_was_known_when_its_first_slot_opened() -> None:
    ranking = ranking_of(settings("max_staleness=1"))
    ranking.learn(0, [group_of(0, right=4, wrong=0)])
    assert ranking(1) == [-1.0, -0.5, -0.5, -0.5]
    ranking.learn(1, [group_of(1, right=4, wrong=0)])
    assert ranking(1) == [-1.0, -0.5, -0.5, -0.5]


def test_groups_without_rewards_say_nothing_and_dropped_ones_count() -> None:
    ranking = ranking_of(settings())
    silent, without = group_of(0, right=4, wrong=0), group_of(1, right=0, wrong=4)
    ranking.learn(0, [replace(silent, dropped=Drop.NO_SIGNAL), replace(without, dropped=Drop.NO_REWARD)])
    ranking.learn(1, [])
    assert ranking(1) == [-1.0, -0.5, -0.5, -0.5]


def test_where_dropped_groups_are_replaced_an_epoch_opens_with_the_step_that_reaches_it() -> None:
    """P = 2, four problems: of step 0 position 1 is dropped, so step 1 is 3 and 4, of which 4 is the second epoch's."""
    config = settings("algorithm.refill=true", "algorithm.refill_limit=3")
    window = run_window(config, 0, 0, 100)
    ranking = EpochRanks(config, PROBLEMS, window)
    window.dropped(1)
    window.close(0)
    ranking.learn(0, [group_of(0, right=4, wrong=0), group_of(1, right=0, wrong=4), group_of(2, right=1, wrong=3)])
    assert ranking(1) == [-1.0, 0.0, -0.25, -0.5]
    window.close(1)
    state = json.loads(json.dumps(ranking.state(1)))
    assert ranking_of(config, 1, state, position=3)(1) == ranking(1)


def test_a_drop_within_a_step_opens_an_epoch_with_what_is_known_then() -> None:
    """Positions 0 and 1 make step 0 and leave step 1 with 2 and 3, until one of these is dropped."""
    config = settings("algorithm.refill=true", "algorithm.refill_limit=3")
    window = run_window(config, 0, 0, 100)
    ranking = EpochRanks(config, PROBLEMS, window)
    window.close(0)
    ranking.learn(0, [group_of(0, right=4, wrong=0), group_of(1, right=0, wrong=4)])
    window.dropped(2)
    assert window.step_of(4) == 1
    assert ranking(1) == [-1.0, 0.0, -0.5, -0.5]
    window.close(1)
    ranking.learn(1, [group_of(2, right=0, wrong=4), group_of(3, right=4, wrong=0), group_of(3, right=4, wrong=0)])
    assert ranking(1) == [-1.0, 0.0, -0.5, -0.5], "an epoch keeps its order"


def test_the_data_can_decide_alone() -> None:
    assert ranking_of(settings("curriculum=difficulty"))(5) == [3, 2, 1, 0]
    assert ranking_of(settings("curriculum=random"))(0) is None


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
    whole = ranking_of(config)
    for step, (problem, right) in enumerate(results):
        whole.learn(step, [group_of(problem, right, 4 - right)])
    resumed = ranking_of(config, stop, json.loads(json.dumps(whole.state(stop))))
    whole.forget_before(stop)
    first = stop * prompts_per_step // len(PROBLEMS)
    for step in range(stop, len(results) + 1):
        last = ((step + staleness + 1) * prompts_per_step - 1) // len(PROBLEMS)
        assert [resumed(epoch) for epoch in range(first, last + 1)] == [whole(e) for e in range(first, last + 1)]
        if step < len(results):
            problem, right = results[step]
            resumed.learn(step, [group_of(problem, right, 4 - right)])
    assert resumed.state(len(results)) == whole.state(len(results))
