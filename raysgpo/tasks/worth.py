"""What an answer is worth, as it comes back from a process that grades."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from raysgpo.records import Problem
from raysgpo.tasks.task import Grade, checked_grade
from raysgpo.user_code.modules import told

GradeFn = Callable[[Problem, str], Grade]


@dataclass(frozen=True, slots=True)
class Failed:
    """In the place of what a text is worth."""

    kind: Literal["timeouts", "errors"]
    why: str


Worth = Grade | dict[str, float] | Failed
"""What a text is worth: a grade, or named parts of a reward."""
WorthFn = Callable[[Problem, list[str]], list[Worth] | Coroutine[Any, Any, list[Worth]]]


@dataclass(frozen=True, slots=True)
class Each:
    """Texts graded one after another by a function of one."""

    grade: GradeFn

    def __call__(self, problem: Problem, texts: list[str]) -> list[Worth]:
        return [self._one(problem, text) for text in texts]

    def _one(self, problem: Problem, text: str) -> Worth:
        try:
            return checked_grade(self.grade(problem, text))
        except Exception as error:  # a grader may raise anything on a model's text
            return Failed("errors", told(error))
