"""What a task is: problems to train on, problems held out, a grader, a splitter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from raysgpo.records import Problem


@dataclass(frozen=True, slots=True)
class Grade:
    """What the grader says of one response.

    ``Grade(correct=True, parts={"correctness": 1.0, "format": 0.1})``
    """

    correct: bool
    """c_i: is the final answer right?"""
    parts: dict[str, float] = field(default_factory=dict)
    """Named reward parts: ``correctness``, 0 or 1 or on the task's own scale, and others such as ``format``."""
    readings: dict[str, float] | None = None
    """What was read in the answer, such as ratings: for the records and the metrics, without worth of its own.
    Empty where nothing could be read; None of a task that reads nothing."""
    failure: Literal["timeouts", "errors"] | None = None
    """Set where grading itself failed: ``task.failed_grading`` says what then becomes of the answer."""
    why: str | None = None
    """Of a failure: what was raised, in one line."""


def checked_grade(grade: object) -> Grade:
    """The grade in Python's own types, as records hold it; a reading that is no finite number was none.

    Raises:
        TypeError: it is no Grade.
    """
    if not isinstance(grade, Grade):
        raise TypeError(f"the verifier gave {type(grade).__name__} where a Grade was expected")
    if grade.readings is None:
        return replace(grade, correct=bool(grade.correct))
    readings = {name: float(value) for name, value in grade.readings.items()}
    found = {name: value for name, value in readings.items() if math.isfinite(value)}
    return replace(grade, correct=bool(grade.correct), readings=found)


class Task(Protocol):
    """Problems and the rules that grade their answers. ``Problem.prompt`` is the user's message."""

    @property
    def train(self) -> Sequence[Problem]:
        """The training prompts, one epoch, in a fixed order."""

    @property
    def held_out(self) -> Sequence[Problem]:
        """Prompts for evaluation; none of them is in ``train``."""

    @property
    def reward_range(self) -> tuple[float, float]:
        """The least and the largest value of the reward part ``correctness``."""

    def grade(self, problem: Problem, text: str) -> Grade:
        """Grade one response. Pure CPU work that may be slow: callers put a deadline around it."""

    def split(self, text: str) -> list[str]:
        """Cut a response into reasoning steps and lose nothing: ``"".join(split(text)) == text``."""
