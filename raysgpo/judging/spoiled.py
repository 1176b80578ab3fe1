"""A judge that errs at a known rate: what a judge's errors cost a training can be measured with it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from raysgpo.config.judge import SpoiledAs
from raysgpo.judging.judge import Judge, Judgement, Outcome
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed


class SpoiledJudge:
    """Another judge's verdicts, of which a share ``rate`` names a wrong place (``spoiled``).

    Which ones, and how, follows from the vote's seed, and so from the problem, the response and the number of the vote:
    a record has all that its votes follow from. What is spoiled at one rate is so, and in the same way, at any higher
    one.
    """

    def __init__(self, judge: Judge, rate: float, kind: SpoiledAs) -> None:
        self._judge = judge
        self._rate = rate
        self._kind = kind

    async def __call__(
        self, problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN
    ) -> Judgement:
        judgement = await self._judge(problem, steps, seed, outcome)
        rng = random.Random(derive_seed("spoiled", seed))
        if judgement.position is None or rng.random() >= self._rate:
            return judgement
        return replace(judgement, position=spoiled(judgement.position, len(steps), self._kind, rng))


def spoiled(position: int, steps: int, kind: SpoiledAs, rng: random.Random) -> int:
    """Another position than that of a verdict on so many steps; ``steps`` is that of "no error".

    A step drawn evenly from all others (``random``), those before it (``early``) or those after it (``late``); or no
    error (``none_found``). Where there is none, as before the first step, the verdict stays.
    """
    assert 0 <= position <= steps, f"position {position} is none of a response of {steps} steps"
    if kind == "none_found":
        return steps
    places = {
        "random": [step for step in range(steps) if step != position],
        "early": range(position),
        "late": range(position + 1, steps),
    }[kind]
    return rng.choice(places) if places else position
