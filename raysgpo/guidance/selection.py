"""Which sampled solutions are fit to guide: complete, right and parsable (G2RPO-A, section 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from raysgpo.guidance.trajectory import characters_before_answer
from raysgpo.records import Problem
from raysgpo.tasks.task import Grade


class Fate(StrEnum):
    """What becomes of a solution."""

    KEPT = "kept"
    INCOMPLETE = "incomplete"
    """It was cut off, or says nothing."""
    WRONG = "wrong"
    """Its final answer is not right, cannot be read, or grading it failed."""
    UNPARSABLE = "unparsable"
    """It has no reasoning step before the answer, so nothing to give."""


def fate(text: str, problem: Problem, grade: Grade, split: Callable[[str], Sequence[str]]) -> Fate:
    """``text``: a whole solution, empty where it was cut off; ``split``: the task's cutting into steps."""
    if not text.strip():
        return Fate.INCOMPLETE
    if not grade.correct:
        return Fate.WRONG
    thought = text.partition("</think>")[0]
    return Fate.KEPT if characters_before_answer(split(thought), problem.answer) else Fate.UNPARSABLE
