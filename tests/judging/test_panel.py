"""The votes of a group: asked once each, within a deadline, whatever the judge does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from raysgpo.config import JudgeConfig
from raysgpo.judging.judge import Judgement, Outcome
from raysgpo.judging.panel import Panel
from raysgpo.records import Problem
from tests.judging.scripted import scripted

FIRST, SECOND = Problem("1", "1+1=?", "2"), Problem("2", "2+2=?", "4")


class Counting:
    """Names step 1, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []

    async def __call__(self, problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        self.asked.append((problem.id, "".join(steps), seed))
        await asyncio.sleep(0.01)
        return 1


def test_identical_answers_of_a_step_are_one_question() -> None:
    judge = Counting()
    panel = Panel(scripted(judge, tokens=10), JudgeConfig(votes=2))

    async def run() -> None:
        first, second = await asyncio.gather(
            panel.votes(0, FIRST, {0: ["a", "b"], 3: ["ab"], 5: ["c", "d"]}), panel.votes(0, FIRST, {1: ["a", "b"]})
        )
        assert first.votes == {0: [1, 1], 3: [1, 1], 5: [1, 1]} and second.votes == {1: [1, 1]}
        costs = [(b.counts["judge/calls"], b.counts["judge/cached"], b.counts["judge/tokens"]) for b in (first, second)]
        assert costs == [(4, 2, 40), (0, 2, 0)]

    asyncio.run(run())
    assert len(judge.asked) == len(set(judge.asked)) == 4


def test_another_problem_or_step_is_another_question() -> None:
    judge = Counting()
    panel = Panel(scripted(judge), JudgeConfig())

    async def run() -> None:
        for step, problem in ((0, FIRST), (0, SECOND), (1, FIRST)):
            assert (await panel.votes(step, problem, {0: ["a", "b"]})).counts["judge/calls"] == 1

    asyncio.run(run())
    assert [(problem, text) for problem, text, _ in judge.asked] == [("1", "ab"), ("2", "ab"), ("1", "ab")]


def test_old_steps_are_forgotten() -> None:
    panel = Panel(scripted(Counting()), JudgeConfig())

    async def run() -> None:
        for step in range(50):
            await panel.votes(step, FIRST, {0: ["a", "b"]})
        assert len(panel._asked) < 10

    asyncio.run(run())


@pytest.mark.parametrize("position", [3, -1, True, 1.0, "1"])
def test_a_position_that_the_answer_does_not_have_is_a_parse_failure(position: object) -> None:
    async def judge(problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN) -> Judgement:
        return Judgement(position, tokens=7)  # type: ignore[arg-type]

    ballots = asyncio.run(Panel(judge, JudgeConfig()).votes(0, FIRST, {0: ["a", "b"]}))
    assert ballots.votes == {0: [None]}
    assert (ballots.counts["judge/parse_failures"], ballots.counts["judge/tokens"]) == (1, 7)


def test_a_late_vote_is_lost_and_the_others_count() -> None:
    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        await asyncio.sleep(60 if steps == ["slow"] else 0)
        return 0

    panel = Panel(scripted(judge), JudgeConfig(deadline=0.2))
    ballots = asyncio.run(panel.votes(0, FIRST, {0: ["slow"], 1: ["quick"]}))
    assert ballots.votes == {0: [None], 1: [0]}
    assert (ballots.counts["judge/timeouts"], ballots.counts["judge/calls"]) == (1, 2)


def test_waiting_for_a_turn_is_no_part_of_the_deadline() -> None:
    """80 groups of 8 answers at 10 s a call lost most of their votes when the queue counted."""

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        await asyncio.sleep(0.1)
        return 0

    panel = Panel(scripted(judge), JudgeConfig(deadline=0.5, concurrency=2))

    async def run() -> None:
        groups = [panel.votes(0, replace(FIRST, id=str(n)), {i: [str(i)] for i in range(4)}) for n in range(8)]
        for ballots in await asyncio.gather(*groups):
            assert ballots.votes == {i: [0] for i in range(4)}

    asyncio.run(run())


@pytest.mark.parametrize(("concurrency", "share", "most"), [(64, 1, 20), (5, 1, 5), (12, 4, 3), (2, 8, 1)])
def test_no_more_questions_are_under_way_than_this_process_may(concurrency: int, share: int, most: int) -> None:
    busy, busiest = 0, 0

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        nonlocal busy, busiest
        busy += 1
        busiest = max(busiest, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        return 0

    panel = Panel(scripted(judge), JudgeConfig(concurrency=concurrency), share)
    asyncio.run(panel.votes(0, FIRST, {i: [str(i)] for i in range(20)}))
    assert busiest == most


def test_a_judge_that_does_not_let_go_costs_its_vote_and_no_turn() -> None:
    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        while steps == ["stuck"]:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.3 if time.monotonic() < until else 0)
                if time.monotonic() >= until:
                    break
        return 0

    until = time.monotonic() + 1.0
    panel = Panel(scripted(judge), JudgeConfig(deadline=0.1, concurrency=1))
    ballots = asyncio.run(panel.votes(0, FIRST, {0: ["stuck"], 1: ["quick"]}))
    assert ballots.votes == {0: [None], 1: [0]}


def test_the_judge_is_told_how_the_response_ended() -> None:
    told: dict[str, Outcome] = {}

    async def judge(problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN) -> Judgement:
        told[steps[0]] = outcome
        return Judgement(0)

    outcomes = {0: Outcome.WRONG, 1: Outcome.CUT_OFF}
    asyncio.run(Panel(judge, JudgeConfig()).votes(0, FIRST, {0: ["a"], 1: ["b"], 2: ["c"]}, outcomes))
    assert told == {"a": Outcome.WRONG, "b": Outcome.CUT_OFF, "c": Outcome.UNKNOWN}
