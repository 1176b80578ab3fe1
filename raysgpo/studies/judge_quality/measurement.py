"""A judge's measurement under way: rows are asked, and what was scored stays if the work is cut short."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from raysgpo.config import JudgeConfig
from raysgpo.judging.endpoint import EndpointJudge
from raysgpo.judging.judge import Judge
from raysgpo.studies.judge_quality.labelled import LabelledRow
from raysgpo.studies.judge_quality.quality import Scored, score


@dataclass(slots=True)
class Tally:
    """What was scored until now."""

    scored: list[Scored] = field(default_factory=list)
    seconds: float = 0.0
    """Wall time of the scoring, without the start of the judge."""


async def measure(
    judge: Judge, config: JudgeConfig, rows: Sequence[LabelledRow], tally: Tally, heard: Callable[[Scored], None]
) -> None:
    """Score the rows into ``tally``; ``heard`` is called with each before it counts.

    Raises:
        JudgeUnavailable: the judge does not answer its first question.
    """
    try:
        if isinstance(judge, EndpointJudge):
            await judge.check(config.start_seconds)
        await _score(judge, config, rows, tally, heard)
    finally:
        if isinstance(judge, EndpointJudge):
            await judge.close()


async def _score(
    judge: Judge, config: JudgeConfig, rows: Sequence[LabelledRow], tally: Tally, heard: Callable[[Scored], None]
) -> None:
    def scored(one: Scored) -> None:
        heard(one)
        tally.scored.append(one)

    start = time.monotonic()
    try:
        await score(judge, config, rows, scored)
    except ExceptionGroup as failed:  # of the tasks, which end together
        raise failed.exceptions[0] from None
    finally:
        tally.seconds += time.monotonic() - start
