"""Judges for tests whose every word the test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from raysgpo.judging.judge import Failure, Judge, Judgement, Outcome
from raysgpo.records import Problem

Script = Callable[[Problem, Sequence[str], int], Awaitable[int | None]]


def scripted(script: Script, tokens: int = 0) -> Judge:
    """A judge that answers what ``script(problem, steps, seed)`` does; None is an answer that cannot be read."""

    async def judge(problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN) -> Judgement:
        position = await script(problem, steps, seed)
        return Judgement(position, Failure.UNREADABLE if position is None else None, tokens)

    return judge
