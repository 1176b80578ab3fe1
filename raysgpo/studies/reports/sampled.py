"""Groups of a run as a person reads them: each answer in its steps, with what the judge and the reward made of it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from raysgpo.output.json_lines import Row, placed_rows
from raysgpo.seeds import derive_seed
from raysgpo.tasks.splitters import Splitter

Kind = Literal["judged", "mixed", "wrong", "right", "failed"]
KINDS: dict[Kind, str] = {
    "judged": "all wrong, judged",
    "mixed": "right and wrong",
    "wrong": "all wrong, not judged",
    "right": "all right",
    "failed": "without answers",
}
PARTS = ("early", "middle", "late")
"""Thirds of the training."""

StepMark = Literal["", "sound", "error", "after"]


@dataclass(frozen=True, slots=True)
class AnswerStep:
    number: int
    """From 1, as the judge is told."""
    given: str
    """What of its text is guidance; it comes first."""
    own: str
    mark: StepMark
    """Under a verdict: before the first error, the first error, behind it. Empty where none was named."""
    tokens: int | None


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    number: int
    """From 1, in the order of the group."""
    row: Row
    """As ``groups.jsonl`` has it."""
    steps: tuple[AnswerStep, ...]
    whole: bool
    """Whether the text stands as one step because its cuts are not known."""

    @property
    def votes(self) -> str:
        """Of the judge: numbers of steps from 1, ``none`` for no error; a lost one is a dash."""
        return ", ".join(self._step(vote) for vote in self.row["votes"])

    @property
    def first_error(self) -> str:
        """The majority's; empty where no judge was asked."""
        said = {None: "", "lost": "lost", "none_found": "none"}
        verdict = self.row["verdict"]
        return said[verdict] if verdict in said else self._step(self.row["first_error"])

    def _step(self, index: int | None) -> str:
        if index is None:
            return "–"  # noqa: RUF001
        return "none" if index >= (self.row["reasoning_steps"] or 0) else str(index + 1)


@dataclass(frozen=True, slots=True)
class SampledGroup:
    kind: Kind
    part: str
    row: Row
    answers: tuple[SampledAnswer, ...]

    @property
    def title(self) -> str:
        return f"Step {self.row['step'] + 1}, {self.part}: {KINDS[self.kind]}"

    @property
    def largest(self) -> float:
        """Of the absolute advantages; 1 where all are 0."""
        return max((abs(answer.row["advantage"]) for answer in self.answers), default=0.0) or 1.0


def kind_of(row: Row) -> Kind:
    right = [bool(answer["correct"]) for answer in row["rollouts"]]
    if not right:
        return "failed"
    if any(right):
        return "right" if all(right) else "mixed"
    return "judged" if row["judged"] else "wrong"


def sampled_groups(file: Path, each: int, split: Splitter | None) -> list[SampledGroup]:
    """``each`` groups of every kind from every third of the training, in the order of the steps.

    Which they are depends on their positions alone, so the same record gives the same ones. The file is read twice,
    and no more than the chosen groups are held.
    """
    last = max((row["step"] for _, _, row in placed_rows(file)), default=0)
    kept: dict[tuple[str, Kind], list[tuple[int, int, Row]]] = {}
    for start, _, row in placed_rows(file):
        chosen = kept.setdefault((PARTS[min(3 * row["step"] // (last + 1), 2)], kind_of(row)), [])
        one = (-derive_seed("report", row["position"]), -start, row)
        if len(chosen) < each:
            heapq.heappush(chosen, one)
        elif one[:2] > chosen[0][:2]:
            heapq.heapreplace(chosen, one)
    found = [(part, kind, row) for (part, kind), rows in kept.items() for _, _, row in rows]
    found.sort(key=lambda one: (one[2]["step"], list(KINDS).index(one[1]), one[2]["position"]))
    return [SampledGroup(kind, part, row, tuple(_answers(row["rollouts"], split))) for part, kind, row in found]


def _answers(rollouts: Iterable[Row], split: Splitter | None) -> Iterator[SampledAnswer]:
    for number, row in enumerate(rollouts, 1):
        texts = split(row["text"]) if split is not None else []
        cut = "".join(texts) == row["text"] and len(texts) == row["reasoning_steps"]
        steps = tuple(_steps(row, texts)) if cut else (AnswerStep(1, *_parts(row["text"], _given(row)), "", None),)
        yield SampledAnswer(number, row, steps, whole=not cut)


def _steps(row: Row, texts: list[str]) -> Iterator[AnswerStep]:
    tokens: list[Any] = row["step_tokens"] or [None] * len(texts)
    error, given = (row["first_error"] if row["verdict"] == "error" else None), _given(row)
    for index, (text, count) in enumerate(zip(texts, tokens, strict=True)):
        yield AnswerStep(index + 1, *_parts(text, given), _mark(index, error), count)
        given = max(given - len(text), 0)


def _given(row: Row) -> int:
    """Characters of guidance."""
    return row["guidance_characters"] or 0


def _parts(text: str, given: int) -> tuple[str, str]:
    return text[:given], text[given:]


def _mark(index: int, error: int | None) -> StepMark:
    if error is None:
        return ""
    return "sound" if index < error else "error" if index == error else "after"
