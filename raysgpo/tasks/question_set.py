"""A set of questions that models are evaluated on, with what its file was like when it was read."""

from __future__ import annotations

from dataclasses import dataclass

from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.records import Problem, Turns


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A set that was read."""

    settings: QuestionSetConfig
    problems: tuple[Problem, ...]
    sha256: str
    """Of all rows of its file, as they were read."""
    left_out: tuple[str, ...] = ()
    """Ids of rows whose answer no response can be compared with."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def before(self) -> Turns:
        """The turns before each question."""
        return () if self.settings.system is None else (("system", self.settings.system),)

    def labels(self, problem: Problem) -> dict[str, str]:
        """By what its answers are told apart: ``{"level": "5", "subject": "Algebra"}``."""
        found = {name: problem.metadata.get(name) for name in self.settings.labels}
        return {name: str(value) for name, value in found.items() if value is not None}
