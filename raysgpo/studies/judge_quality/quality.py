"""How good a judge is: its verdicts on labelled responses, counted.

The rows are asked as a run asks: by a panel, with votes, a majority and a deadline. A row without
a verdict counts as wrong. The two accuracies, on responses with a wrong step and on right ones, and
their harmonic mean are those of ProcessBench (arXiv 2412.06559).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from raysgpo.config import JudgeConfig
from raysgpo.judging.judge import Failure, Judge
from raysgpo.judging.panel import Panel
from raysgpo.judging.verdict import named_number, position_of
from raysgpo.judging.votes import agreement, majority
from raysgpo.studies.judge_quality.labelled import LabelledRow
from raysgpo.studies.judge_quality.numbering import Answer, Numbering, numbering

_Z = 1.959964
"""Of the normal distribution, 95 % lie within so many standard deviations."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A row, what the judge said of it, and what that cost."""

    row: LabelledRow
    votes: tuple[int | None, ...]
    seconds: float
    """From the question to the verdict, all votes and retries included."""
    tokens: int
    """Of all its votes, as the judge's server counts them."""
    lost: dict[str, int]
    """Number of lost votes by :class:`raysgpo.judging.judge.Failure`."""
    said: tuple[str, ...] = ()
    """Each vote in the judge's own words; empty of a judge that has none."""

    @property
    def position(self) -> int | None:
        """The majority; None if every vote was lost."""
        return majority(self.votes)

    @property
    def exact(self) -> bool:
        return self.position == self.row.position

    @property
    def outcome(self) -> str:
        """``exact``, ``early``, ``late`` (of a wrong step), ``none_found`` or ``lost``."""
        if self.position is None:
            return "lost"
        if self.exact:
            return "exact"
        if self.position == len(self.row.steps):
            return "none_found"
        return "early" if self.position < self.row.position else "late"

    @property
    def numbers(self) -> tuple[int | None, ...]:
        """The number that each vote names, steps counted from 1 and -1 for no error. Of a lost vote that of its text,
        which may be 0, or too large; None where there is none."""
        votes = zip_longest(self.votes, self.said, fillvalue="")
        return tuple(_number(vote, str(said), len(self.row.steps)) for vote, said in votes)

    @property
    def named(self) -> int | None:
        """The step that it names, 0-based if it counts from 1 as it is told: -1 where it says 0. None for no error, and
        where no number was said."""
        if self.position is None:
            return majority([None if number is None else number - 1 for number in self.numbers])
        return self.position if self.position < len(self.row.steps) else None

    def recounted(self, first: int) -> Scored:
        """The same answers, read as those of a judge whose first step has the number ``first``."""
        steps = len(self.row.steps)
        votes = [None if number is None else position_of(number, steps, first) for number in self.numbers]
        return replace(self, votes=tuple(votes))

    @property
    def within_one(self) -> bool:
        """Whether it names the first wrong step or a neighbour of it; "no error" names none."""
        position = self.position
        if self.row.first_error is None or position is None or position == len(self.row.steps):
            return False
        return abs(position - self.row.first_error) <= 1


async def score(
    judge: Judge, config: JudgeConfig, rows: Sequence[LabelledRow], report: Callable[[Scored], None]
) -> None:
    """Ask for a verdict on every row; each is reported as it comes.

    As many rows are under way as ``judge.concurrency`` has calls for: the deadline of a row begins
    when its calls can be made, and not while it waits for other rows.
    """
    panel = Panel(judge, config)
    slots = asyncio.Semaphore(max(1, config.concurrency // config.votes))

    async def one(index: int, row: LabelledRow) -> None:
        async with slots:
            start = time.monotonic()
            # Each row is a step of its own to the panel: no answer is taken from another row.
            ballots = await panel.votes(index, row.problem, {0: row.steps})
            seconds = time.monotonic() - start
        lost = {failure.value: int(ballots.counts.get(f"judge/{failure.value}", 0)) for failure in Failure}
        tokens = int(ballots.counts["judge/tokens"])
        report(Scored(row, tuple(ballots.votes[0]), seconds, tokens, lost, tuple(ballots.said[0])))

    async with asyncio.TaskGroup() as tasks:
        for index, row in enumerate(rows):
            tasks.create_task(one(index, row))


def quality(scored: Sequence[Scored]) -> dict[str, Any]:
    """All numbers as JSON values. Rates over nothing are None."""
    wrong = [one for one in scored if one.row.first_error is not None]
    agreements = [a for one in scored if (a := agreement(one.votes)) is not None]
    votes = sum(len(one.votes) for one in scored)
    return {
        **accuracies(scored),
        "outcomes_wrong": dict(Counter(one.outcome for one in wrong)),
        "votes": votes,
        "lost_votes": {failure.value: sum(one.lost[failure.value] for one in scored) for failure in Failure},
        "lost_verdicts": sum(one.position is None for one in scored),
        "vote_agreement": float(np.mean(agreements)) if agreements else None,
        "seconds": _spread([one.seconds for one in scored]),
        "tokens": _spread([float(one.tokens) for one in scored]),
        "baselines": baselines([one.row for one in scored]),
        "breakdown": breakdown(scored),
    }


def numbered(scored: Sequence[Scored]) -> Numbering:
    """Whether the judge counts the steps as it is told, by the wrong rows in which it names one."""
    answers = [
        Answer(one.row.first_error, len(one.row.steps), one.named)
        for one in scored
        if one.row.first_error is not None and one.named is not None
    ]
    return numbering(answers, any(one.row.first_error == 0 for one in scored))


def zeros(scored: Sequence[Scored]) -> int:
    """Votes whose text names the number 0, which a judge that counts from 1 has no use for."""
    return sum(number == 0 for one in scored for number in one.numbers)


def accuracies(scored: Sequence[Scored]) -> dict[str, Any]:
    """``wrong``: the first error found exactly; ``right``: none found in responses that have none; and both at once."""
    wrong = [one for one in scored if one.row.first_error is not None]
    right = [one for one in scored if one.row.first_error is None]
    found = share([one.exact for one in wrong])
    passed = share([one.exact for one in right])
    return {
        "rows": len(scored),
        "wrong": found,
        "right": passed,
        "f1": harmonic_mean(found["value"], passed["value"]),
        "within_one": share([one.within_one for one in wrong]),
    }


def breakdown(scored: Sequence[Scored]) -> dict[str, dict[str, Any]]:
    """The accuracies by each kind of row and its values: ``{"source": {"processbench-math": {...}}}``."""
    groups: dict[str, dict[str, list[Scored]]] = {}
    for one in scored:
        for kind, value in one.row.kinds.items():
            groups.setdefault(kind, {}).setdefault(value, []).append(one)
    return {
        kind: {value: accuracies(members) for value, members in sorted(values.items())}
        for kind, values in groups.items()
    }


def baselines(rows: Sequence[LabelledRow]) -> dict[str, float | None]:
    """Accuracy on the wrong rows of judges that read nothing; on right rows they have none."""
    wrong = [(row.first_error, len(row.steps)) for row in rows if row.first_error is not None]
    if not wrong:
        return dict.fromkeys(("index_1", "last_step", "uniform"))
    return {
        "index_1": sum(first == 1 for first, _ in wrong) / len(wrong),
        "last_step": sum(first == steps - 1 for first, steps in wrong) / len(wrong),
        "uniform": sum(1 / steps for _, steps in wrong) / len(wrong),
    }


def _number(vote: int | str | None, said: str, steps: int) -> int | None:
    if isinstance(vote, int):
        return vote + 1 if vote < steps else -1
    return named_number(said) if said else None


def share(hits: Sequence[bool]) -> dict[str, Any]:
    """A rate and its 95 % Wilson interval."""
    count, rows = sum(hits), len(hits)
    low, high = wilson(count, rows) if rows else (None, None)
    return {"count": count, "rows": rows, "value": count / rows if rows else None, "low": low, "high": high}


def wilson(count: int, rows: int) -> tuple[float, float]:
    """The rates that ``count`` hits out of ``rows`` are compatible with, at 95 % (Wilson 1927)."""
    assert 0 <= count <= rows and rows > 0, f"{count} hits of {rows} rows are no rate"
    rate, square = count / rows, _Z * _Z
    centre = rate + square / (2 * rows)
    half = _Z * math.sqrt(rate * (1 - rate) / rows + square / (4 * rows * rows))
    scale = 1 + square / rows
    # At the ends it is exact; rounding would leave the rate itself out.
    return (centre - half) / scale if count else 0.0, (centre + half) / scale if count < rows else 1.0


def harmonic_mean(first: float | None, second: float | None) -> float | None:
    """The F1 of ProcessBench; 0 if either is."""
    if first is None or second is None:
        return None
    return 2 * first * second / (first + second) if first + second else 0.0


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return dict.fromkeys(("mean", "p50", "p95"))
    return {
        "mean": float(np.mean(values)),
        "p50": float(np.percentile(values, 50)),
        "p95": float(np.percentile(values, 95)),
    }
