"""Who waits for a judge is waited for while it answers others, within a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from raysgpo.config import JudgeConfig
from raysgpo.judging.panel import Panel
from raysgpo.judging.patience import MOST, Patience
from raysgpo.records import Problem
from tests.judging.scripted import scripted


async def waited(seconds: float, deadline: float, answers_every: float | None = None) -> tuple[bool, float]:
    """Whether something that takes so long ends in time, and for how long it was waited for."""
    patience, started = Patience(deadline), time.monotonic()

    async def answer_others() -> None:
        while answers_every is not None:
            await asyncio.sleep(answers_every)
            patience.answered()

    others, task = asyncio.create_task(answer_others()), asyncio.create_task(asyncio.sleep(seconds))
    try:
        return await patience.ends(task), time.monotonic() - started
    finally:
        others.cancel()
        task.cancel()


def test_without_other_answers_the_deadline_is_that() -> None:
    in_time, seconds = asyncio.run(waited(60, 0.1))
    assert not in_time and 0.1 <= seconds < 20
    assert asyncio.run(waited(0.01, 5))[0]


def test_each_answer_to_another_has_it_begin_anew() -> None:
    in_time, seconds = asyncio.run(waited(0.6, 0.2, answers_every=0.02))
    assert in_time and seconds >= 0.6


def test_there_is_a_bound() -> None:
    in_time, seconds = asyncio.run(waited(60, 0.05, answers_every=0.01))
    assert not in_time and MOST * 0.05 <= seconds < 20


def test_a_vote_that_queues_behind_others_of_its_judge_is_not_late() -> None:
    """Eight at once to a judge that answers one after the other, 0.1 s each."""
    turn = asyncio.Semaphore(1)

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        async with turn:
            await asyncio.sleep(0.1)
        return 0

    told: list[int] = []
    panel = Panel(scripted(judge), JudgeConfig(deadline=0.3, concurrency=8), told=lambda: told.append(1))
    ballots = asyncio.run(panel.votes(0, Problem("1", "1+1=?", "2"), {n: [str(n)] for n in range(8)}))
    assert ballots.votes == {n: [0] for n in range(8)} and len(told) == 8
