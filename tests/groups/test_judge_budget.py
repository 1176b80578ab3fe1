"""Which groups may be judged, and what the budget of a run is worth."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.groups.judge_budget import JudgeBudget
from raysgpo.records import Group, Problem

PROBLEMS = 10
"""Training prompts, an epoch."""


def settings(*words: str) -> Config:
    base = ["algorithm=sgpo", "judge=rule", "prompts_per_step=4", "sampling.group_size=2", "judge.epochs=2"]
    return resolve({}, overrides=[*base, *words])


def judging(*words: str, spent: dict[str, float] | None = None) -> JudgeBudget:
    return JudgeBudget(settings(*words), PROBLEMS, spent)


def judged(make_group: Callable[..., Group], position: int, calls: int = 2, tokens: int = 100) -> Group:
    return make_group(position, counts={"judge/calls": calls, "judge/tokens": tokens})


STEP = 4
"""Positions of a step."""


def granted(judging: JudgeBudget, count: int = 40) -> list[int]:
    return [position for position in range(count) if judging.grant(position, position // STEP)]


def test_the_first_epochs_or_the_first_steps_are_judged() -> None:
    assert granted(judging()) == list(range(20))
    assert granted(judging("judge.epochs=0.5")) == list(range(5))
    assert granted(judging("judge.steps=3")) == list(range(12)), "steps win over epochs"
    assert granted(judging("judge.steps=0")) == []
    assert granted(judging("algorithm.partial_credit=none")) == []


def test_judging_is_over_when_its_steps_are_trained_and_nothing_is_under_way(make_group: Callable[..., Group]) -> None:
    two_steps = judging("judge.steps=2")
    assert [two_steps.over(trained, trained * STEP) for trained in (0, 1, 2)] == [False, False, True]
    for position in granted(two_steps):
        assert not two_steps.over(2, 8)
        two_steps.settle(judged(make_group, position))
    assert two_steps.over(2, 8)
    assert judging("algorithm=grpo").over(0, 0)


def test_a_budget_of_calls_is_reserved_and_given_back(make_group: Callable[..., Group]) -> None:
    five = judging("judge.max_calls=5")
    assert [five.grant(0, 0), five.grant(1, 0), five.grant(1, 0)] == [True, True, True]
    five.settle(judged(make_group, 0, calls=0))  # not all-negative
    assert five.grant(2, 0)
    five.settle(judged(make_group, 1))
    five.settle(judged(make_group, 2))
    assert not five.grant(3, 0), "four calls are spent, and a group may need two"
    assert (five.exhausted, five.spent["calls"]) == ("judge.max_calls=5", 4)
    assert five.over(1, 4)


def test_a_budget_of_tokens_ends_the_grants_once_it_is_spent(make_group: Callable[..., Group]) -> None:
    poor = judging("judge.max_run_tokens=150")
    assert granted(poor, 2) == [0, 1]
    poor.settle(judged(make_group, 0))
    assert poor.grant(2, 0)
    poor.settle(judged(make_group, 1))
    assert (poor.grant(3, 0), poor.exhausted) == (False, "judge.max_run_tokens=150")
    assert not poor.over(1, 4)
    poor.settle(judged(make_group, 2))
    assert poor.over(1, 4) and poor.spent == {"calls": 6, "tokens": 300}


def test_a_resumed_run_goes_on_with_what_is_left() -> None:
    assert granted(judging("judge.max_calls=6", spent={"calls": 3, "tokens": 0})) == [0]
    assert granted(judging("judge.max_calls=6", spent={"calls": 6, "tokens": 0})) == []


@given(st.integers(0, 30), st.integers(1, 3), st.data())
def test_no_order_of_grants_and_arrivals_exceeds_the_calls(limit: int, votes: int, data: st.DataObject) -> None:
    account = judging(f"judge.max_calls={limit}", f"judge.votes={votes}")
    under_way: list[int] = []
    used = 0
    for position in range(20):
        if account.grant(position, position // STEP):
            under_way.append(position)
        while len(under_way) > 0 and data.draw(st.booleans()):
            calls = data.draw(st.integers(0, 2 * votes))
            used += calls
            settled = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            account.settle(Group(settled, 0, 0, Problem("p", "?", "1"), (), counts={"judge/calls": calls}))
        assert used + 2 * votes * len(under_way) <= limit
    assert account.spent["calls"] == used


def test_reservations_that_come_back_end_nothing(make_group: Callable[..., Group]) -> None:
    """A limit for two groups: the third waits for what the others give back, and is not the end of judging."""
    budget = judging("judge.max_calls=4")
    assert [budget.grant(position, 0) for position in range(3)] == [True, True, False]
    assert budget.exhausted is None
    for position in range(2):
        budget.settle(judged(make_group, position, calls=1))
    assert budget.grant(3, 0) and budget.exhausted is None
    assert not budget.over(0, 0)


def test_what_is_spent_is_told_when_it_changes(make_group: Callable[..., Group]) -> None:
    told: list[dict[str, float]] = []
    budget = JudgeBudget(settings(), PROBLEMS, None, lambda spent: told.append(dict(spent)))
    for position, calls in ((0, 0), (1, 3)):
        budget.grant(position, 0)
        budget.settle(judged(make_group, position, calls, 5 * calls))
    assert told == [{"calls": 3, "tokens": 15}]
