"""What a judge is: it names the first wrong reasoning step of a response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from raysgpo.records import Problem


class Outcome(StrEnum):
    """What is known of a response beside its steps."""

    WRONG = "wrong"
    """It ended, and its final answer is wrong."""
    CUT_OFF = "cut_off"
    """It was cut off, and states no right answer."""
    UNKNOWN = "unknown"


class Failure(StrEnum):
    """Why a vote was lost; each is counted as ``judge/<value>``."""

    UNREADABLE = "parse_failures"
    """The judge answered, and its verdict cannot be read or names no step of the response."""
    TIMEOUT = "timeouts"
    """No answer before the deadline."""
    ERROR = "errors"
    """No connection, or an answer that is an error, after all retries."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One vote on one response, and what it cost."""

    position: int | None
    """0-based index of the first wrong step; the number of steps if none is wrong; None for a lost vote."""
    failure: Failure | None = None
    """Why the vote was lost; None if it was not."""
    tokens: int = 0
    """Prompt and answer, as the judge's server counts them."""
    seconds: float = 0.0
    """From the question to the answer, retries included."""
    said: str = ""
    """The answer in the judge's own words, also where it cannot be read; empty of a judge that has none."""


class Judge(Protocol):
    """One vote on one response. Callers put a deadline around it; past it the vote is lost.

    It may raise: the caller counts that as ``Failure.ERROR``.
    """

    async def __call__(
        self, problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN
    ) -> Judgement:
        """``seed`` tells apart the votes on one response."""
        ...
