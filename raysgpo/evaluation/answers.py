"""The answers of an evaluation: what a row of ``answers.jsonl`` says, and which are still to be had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from raysgpo.output.json_lines import Row, read_rows, replace_rows
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.question_set import QuestionSet

Key = tuple[str, str, str, int]
"""Model, set, question and sample."""


@dataclass(frozen=True, slots=True)
class Question:
    """One answer that is wanted."""

    of: QuestionSet
    problem: Problem
    sample: int
    seed: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered."""

    text: str
    tokens: int
    """As its engine or its server counts them."""
    truncated: bool


class NoReply(Exception):
    """No answer came, which the row of the question says."""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """A row of ``answers.jsonl``."""

    model: str
    """Its label."""
    set: str
    id: str
    """Of the question."""
    labels: dict[str, str]
    sample: int
    text: str | None = None
    """None where no answer came: it is asked for again when the evaluation goes on."""
    tokens: int = 0
    truncated: bool = False
    correct: bool | None = None
    """None where nobody could say; it counts as wrong."""
    answer: str | None = None
    """What the text states as its final answer."""
    failed: str | None = None
    """Why there is no answer, or no verdict, in one line."""

    @property
    def key(self) -> Key:
        return self.model, self.set, self.id, self.sample

    def row(self) -> Row:
        return asdict(self)


def wanted(sets: Sequence[QuestionSet], seed: int) -> Iterator[Question]:
    """All answers to all sets, each under a seed of its own."""
    for one in sets:
        for problem in one.problems:
            for sample in range(one.settings.samples):
                yield Question(one, problem, sample, derive_seed("set", seed, one.name, problem.id, sample))


def read_answers(path: Path) -> dict[Key, AnswerRow]:
    """The newest row of each answer: one that had no answer or no verdict stands there again once it has."""
    rows = (AnswerRow(**row) for row in read_rows(path))
    return {row.key: row for row in rows}


def settle(path: Path) -> dict[Key, AnswerRow]:
    """The file with the newest row of each answer alone, which is returned.

    Raises:
        WriteFailed: the file stays as it was.
    """
    rows = read_answers(path)
    if len(rows) < sum(1 for _ in read_rows(path)):
        replace_rows(path, (row.row() for row in rows.values()))
    return rows
