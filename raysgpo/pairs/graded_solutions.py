"""Several graded solutions to each question, read from a file: what verifier pairs are made of.

A line is one of three things::

    {"question": "...", "solution": "...", "correct": true}             one solution; equal questions belong together
    {"question": "...", "solutions": ["...", "..."], "correct": [true, false]}
    a line of the groups.jsonl of a run

``id``, ``domain`` and other fields of a question's first line are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from raysgpo.data.input_rows import checked_row, input_rows
from raysgpo.records import Drop
from raysgpo.tasks.math import INSTRUCTION


class Fate(StrEnum):
    """What becomes of a solution."""

    KEPT = "kept"
    CUT_OFF = "cut off"
    """By the length limit, or within its thinking: nobody knows what it would have said."""
    EMPTY = "empty"
    """It holds nothing but thinking."""
    REPEATED = "repeated"
    """The question has the same text already."""


@dataclass(slots=True)
class Solved:
    """A question with its solutions, thinking removed, each text once."""

    id: str
    question: str
    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def add(self, text: str, correct: bool, cut_off: bool = False) -> Fate:
        """Take a solution in, unless it is of no use."""
        said = without_thinking(text)
        if cut_off or said is None:
            return Fate.CUT_OFF
        if not said:
            return Fate.EMPTY
        if said in self.right or said in self.wrong:
            return Fate.REPEATED
        (self.right if correct else self.wrong).append(said)
        return Fate.KEPT


def without_thinking(text: str) -> str | None:
    """What is said after the thinking, without blank lines at its ends; None where the thinking has no end."""
    said = text.rpartition("</think>")[2]
    return None if "<think>" in said else said.strip("\n").rstrip()


class _One(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    question: str = Field(min_length=1)
    solution: str
    correct: StrictBool
    id: str | int | None = None


class _Many(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    question: str = Field(min_length=1)
    solutions: list[str]
    correct: list[StrictBool]
    id: str | int | None = None

    @model_validator(mode="after")
    def _one_verdict_each(self) -> Self:
        if len(self.solutions) != len(self.correct):
            raise ValueError(f"{len(self.solutions)} solutions and {len(self.correct)} verdicts (correct)")
        return self


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    text: str
    correct: StrictBool | None
    finish_reason: str = "stop"
    guidance_tokens: int = 0


class _Group(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt_id: str
    prompt: str
    rollouts: list[_Answer]
    metadata: dict[str, Any] = Field({})
    dropped: str | None = None


def read_solutions(path: str) -> tuple[list[Solved], Counter[Fate]]:
    """The questions of the file in the order in which they come, and the fates of all solutions.

    Solutions that began with guidance are not the model's own and are passed over, and so are groups that were not
    graded.

    Raises:
        ValueError: a row that cannot be used, with file and row.
    """
    found: dict[str, Solved] = {}
    questions: dict[str, str] = {}
    fates = Counter[Fate]()
    for number, where, row in input_rows(path, f"SOLUTIONS {path}"):
        for solved, answers in _read(row, number, where):
            question = " ".join(solved.question.split())
            known = found.setdefault(question, solved)
            if questions.setdefault(known.id, question) != question:
                raise ValueError(f"{where}: the id {known.id!r} is that of another question: make the ids distinct")
            fates.update(known.add(*answer) for answer in answers)
    return list(found.values()), fates


def _read(row: dict[str, Any], number: int, where: str) -> Iterator[tuple[Solved, Iterable[tuple[str, bool, bool]]]]:
    """(text, correct, cut off) of each solution of a row, with its question."""
    if "rollouts" in row:
        group = checked_row(_Group, row, where)
        if group.dropped in (Drop.FAILED, Drop.NO_REWARD):
            return
        own = [one for one in group.rollouts if one.correct is not None and not one.guidance_tokens]
        question = group.prompt.removesuffix(INSTRUCTION)
        answers = [(one.text, bool(one.correct), one.finish_reason == "length") for one in own]
        yield Solved(group.prompt_id, question, metadata=group.metadata), answers
        return
    if "solutions" in row:
        many = checked_row(_Many, row, where)
        answers = [(text, right, False) for text, right in zip(many.solutions, many.correct, strict=True)]
        yield _solved(many, number), answers
        return
    one = checked_row(_One, row, where)
    yield _solved(one, number), [(one.solution, one.correct, False)]


def _solved(row: _One | _Many, number: int) -> Solved:
    identity = f"row-{number}" if row.id is None else str(row.id)
    return Solved(identity, row.question, metadata=dict(row.model_extra or {}))
