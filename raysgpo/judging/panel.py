"""All votes of a judge on the wrong answers of a group, each within a deadline.

The deadline begins when the question is put, and anew with each vote of the judge on anything: however many others
wait before it, they cost it nothing. Nothing that a judge does stops a group: what fails, is late or cannot be read is
a lost vote, counted.
Identical (problem, response) pairs of a step are one question, whichever groups they stand in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from raysgpo.config import JudgeConfig
from raysgpo.judging.judge import Failure, Judge, Judgement, Outcome
from raysgpo.judging.patience import Patience
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed

_log = logging.getLogger(__name__)

_STEPS_KEPT = 4
"""Answers are kept for the newest steps only: tickets of more steps than these are never under way at once
with the same problem in them."""


@dataclass(frozen=True, slots=True)
class Ballots:
    """What the judge said of a group."""

    votes: dict[int, list[int | None]]
    """Rollout index to its votes; None for a lost one."""
    counts: dict[str, float]
    """``judge/calls``, ``judge/cached``, ``judge/tokens``, ``judge/seconds`` (their sum), and lost calls by reason."""
    said: dict[int, list[str]]
    """Rollout index to the judge's own words of each vote."""


class Panel:
    """Asks one judge. One event loop uses it."""

    def __init__(
        self, judge: Judge, config: JudgeConfig, share: int = 1, told: Callable[[], None] = lambda: None
    ) -> None:
        """``share``: number of processes that divide ``judge.concurrency`` among them; ``told``: of each vote, lost or
        not."""
        self._judge = judge
        self._config = config
        self._told = told
        self._patience = Patience(config.vote_seconds)
        self._slots = asyncio.Semaphore(max(1, config.concurrency // share))
        self._asked: dict[tuple[int, str, str, int, Outcome], asyncio.Task[Judgement]] = {}
        self._warned: set[str] = set()

    async def votes(
        self,
        step: int,
        problem: Problem,
        responses: Mapping[int, Sequence[str]],
        outcomes: Mapping[int, Outcome] | None = None,
    ) -> Ballots:
        """Every vote on every response; ``responses`` has the reasoning steps by rollout index, ``outcomes`` what is
        known of how they ended.

        All are asked for at once; ``judge.concurrency`` of them are under way, and each ends within
        ``judge.deadline`` seconds of the judge's last vote.
        """
        self._forget(step)
        before = set(self._asked.values())
        asked = {
            (index, vote): self._ask(step, problem, steps, vote, (outcomes or {}).get(index, Outcome.UNKNOWN))
            for index, steps in responses.items()
            for vote in range(self._config.votes)
        }
        if asked:
            await asyncio.wait(asked.values())
        votes: dict[int, list[int | None]] = {index: [] for index in responses}
        said: dict[int, list[str]] = {index: [] for index in responses}
        for (index, _), task in asked.items():
            votes[index].append(_result(task).position)
            said[index].append(_result(task).said)
        ours = set(asked.values()) - before
        counts = _counts([_result(task) for task in ours])
        return Ballots(votes, counts | {"judge/cached": len(asked) - len(ours)}, said)

    def _ask(
        self, step: int, problem: Problem, steps: Sequence[str], vote: int, outcome: Outcome
    ) -> asyncio.Task[Judgement]:
        """The question's task; that of an identical question, if there was one in this step."""
        text = "".join(steps)
        key = (step, problem.id, text, vote, outcome)
        if key not in self._asked:
            seed = derive_seed("judge", problem.id, text, vote)
            self._asked[key] = asyncio.ensure_future(self._judgement(problem, steps, seed, outcome))
        return self._asked[key]

    async def _judgement(self, problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome) -> Judgement:
        async with self._slots:
            asking = asyncio.ensure_future(self._judge(problem, steps, seed, outcome))
            try:
                in_time = await self._patience.ends(asking)
            finally:
                asking.cancel()
                self._told()
        if not in_time:
            self._warn("late", f"a judgement passed judge.deadline={self._config.vote_seconds:g} s")
            return _LATE
        try:
            judgement = _checked(asking.result(), len(steps))
        except Exception as error:  # a dead or confused judge must not stop the run
            self._warn(type(error).__name__, f"a judgement failed: {error!r}")
            return Judgement(None, Failure.ERROR)
        if judgement.failure not in (Failure.TIMEOUT, Failure.ERROR):
            self._patience.answered()
        return judgement

    def _warn(self, kind: str, said: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            _log.warning("%s; the vote is lost (further ones are counted)", said)

    def _forget(self, step: int) -> None:
        for key in [key for key in self._asked if key[0] <= step - _STEPS_KEPT]:
            del self._asked[key]


_LATE = Judgement(None, Failure.TIMEOUT)


def _result(task: asyncio.Task[Judgement]) -> Judgement:
    return Judgement(None, Failure.ERROR) if task.cancelled() else task.result()


def _checked(judgement: Judgement, steps: int) -> Judgement:
    """A position that the response does not have is no verdict."""
    position = judgement.position
    if position is None or (isinstance(position, int) and not isinstance(position, bool) and 0 <= position <= steps):
        return judgement
    return replace(judgement, position=None, failure=Failure.UNREADABLE)


def _counts(judgements: Sequence[Judgement]) -> dict[str, float]:
    lost = Counter(f"judge/{j.failure.value}" for j in judgements if j.failure is not None)
    return {
        "judge/calls": len(judgements),
        "judge/tokens": sum(j.tokens for j in judgements),
        "judge/seconds": sum(j.seconds for j in judgements),
        **lost,
    }
