"""What a judge is: it names the first wrong reasoning step of a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raysgpo.records import Problem


class Judge(Protocol):
    """One vote on one response. Callers put a deadline around it; past it the vote is lost."""

    async def __call__(self, problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        """The 0-based index of the first wrong step; ``len(steps)`` if no step is wrong; None if the
        verdict cannot be read (a lost vote). ``seed`` tells apart the votes on one response."""
