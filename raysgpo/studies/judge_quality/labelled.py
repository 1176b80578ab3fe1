"""Responses whose first wrong step is known: what a judge is measured on.

They come from a file of labelled rows, from a generator of chained arithmetic, or from the wrong
answers of a run on chained arithmetic, which the task's own rule labels.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from raysgpo.config import TaskConfig
from raysgpo.data.input_rows import checked_row, input_rows
from raysgpo.judging.rule import first_wrong
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.arithmetic import MOST_MISSES, Chain, draw_chain, final_answer, split_lines

Corrupt = Callable[[Chain, random.Random], str]
"""A response to the chain; it may be wrong, cut off or right."""


@dataclass(frozen=True, slots=True)
class LabelledRow:
    problem: Problem
    steps: tuple[str, ...]
    first_error: int | None
    """0-based index of the first wrong step; None if every step is right."""
    kinds: dict[str, str] = field(default_factory=dict)
    """What the row is counted under, such as ``{"source": "processbench-math"}``."""

    def __post_init__(self) -> None:
        assert self.steps, "a response without steps has no first wrong one"
        assert self.first_error is None or 0 <= self.first_error < len(self.steps), "the label names a step"

    @property
    def position(self) -> int:
        """The vote of a judge that is right: the first wrong step, or the number of steps."""
        return len(self.steps) if self.first_error is None else self.first_error

    @property
    def digest(self) -> str:
        """Of everything that a judge is shown: rows of one digest are one question."""
        problem = self.problem
        shown = [problem.prompt, problem.answer, problem.reference, *self.steps]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Labelled:
    rows: tuple[LabelledRow, ...]
    arithmetic: bool
    """Whether they are chained arithmetic, which ``judge=rule`` can check."""


def chosen(rows: Sequence[LabelledRow], limit: int | None, seed: int) -> list[LabelledRow]:
    """At most ``limit`` rows in random order, so that the first rows are a fair sample of all."""
    order = random.Random(derive_seed("labelled rows", seed))
    return order.sample(rows, len(rows) if limit is None else min(limit, len(rows)))


# --- generated ---


def generated(config: TaskConfig, count: int, seed: int, corrupt: Corrupt) -> Labelled:
    """One response to each of ``count`` distinct held-out chains, which no training ever shows.

    Raises:
        ValueError: there are not so many chains of these settings.
    """
    rng = random.Random(derive_seed("labelled arithmetic", seed))
    rows: dict[str, LabelledRow] = {}
    misses = 0
    while len(rows) < count and misses < MOST_MISSES:
        chain = draw_chain(rng, rng.choice(config.terms), config.digits, config.operators)
        misses += 1
        if not chain.held_out or chain.expression in rows:
            continue
        kinds = {"terms": str(len(chain.terms))}
        rows[chain.expression] = _arithmetic_row(chain.problem(), corrupt(chain, rng), kinds)
        misses = 0
    if len(rows) < count:
        raise ValueError(
            f"--limit {count}: chains of task.terms={list(config.terms)}, task.digits={config.digits} and "
            f"task.operators={config.operators} gave only {len(rows)} held-out problems: "
            "lower --limit, or raise task.terms or task.digits"
        )
    return Labelled(tuple(rows.values()), arithmetic=True)


def _arithmetic_row(problem: Problem, text: str, kinds: dict[str, str]) -> LabelledRow:
    steps = tuple(split_lines(text))
    position = first_wrong(problem, steps)
    stated = final_answer(text)
    answer = "none" if stated is None else "right" if stated == problem.answer else "wrong"
    first_error = position if position < len(steps) else None
    return LabelledRow(problem, steps, first_error, {"final answer": answer, **kinds})


# --- from a file ---


class _Row(BaseModel):
    """A line of a labelled file."""

    model_config = ConfigDict(strict=True)

    question: str
    reference: str | None
    reference_kind: str | None = None
    """``answer``: the reference is the final answer alone, and not a solution."""
    steps: list[str] = Field(min_length=1)
    first_error: int | None
    id: str | int | None = None
    source: str | None = None
    final_answer_correct: bool | None = None


class _Answer(BaseModel):
    """A rollout in a line of ``groups.jsonl``."""

    text: str
    correct: bool | None
    truncated: bool


class _Group(BaseModel):
    """A line of ``groups.jsonl``."""

    prompt_id: str
    prompt: str
    answer: str
    reference: str | None
    rollouts: list[_Answer]


def read_labelled(path: str) -> Labelled:
    """The rows of a labelled file, or the wrong answers of a run's ``groups.jsonl``.

    Which of the two it is says the first row: one of a run has ``rollouts``. Blank lines are skipped.

    Raises:
        ValueError: no such file, no row, or a row that cannot be used; with file and row.
    """
    trees = [(where, tree) for _, where, tree in input_rows(path, path)]
    if "rollouts" in trees[0][1]:
        return Labelled(_wrong_answers(trees, path), arithmetic=True)
    return Labelled(tuple(_labelled_row(tree, where) for where, tree in trees), arithmetic=False)


def _labelled_row(tree: dict[str, Any], where: str) -> LabelledRow:
    row = checked_row(_Row, tree, where)
    if row.first_error is not None and not 0 <= row.first_error < len(row.steps):
        raise ValueError(
            f"{where}: first_error={row.first_error} names none of the {len(row.steps)} steps: "
            f"it counts from 0, and is null where every step is right"
        )
    only_answer = row.reference_kind == "answer"
    problem = Problem(
        id=where if row.id is None else str(row.id),
        prompt=row.question,
        answer=(row.reference or "") if only_answer else "",
        reference=None if only_answer else row.reference,
    )
    known = "none" if row.reference is None else "answer" if only_answer else "solution"
    answered = {True: "right", False: "wrong", None: "unknown"}[row.final_answer_correct]
    kinds = {"source": row.source or "unknown", "final answer": answered, "reference": known}
    return LabelledRow(problem, tuple(row.steps), row.first_error, kinds)


def _wrong_answers(trees: Sequence[tuple[str, dict[str, Any]]], path: str) -> tuple[LabelledRow, ...]:
    """Each wrong answer once, however often it was given to the same problem."""
    rows: dict[tuple[str, str], LabelledRow] = {}
    for where, tree in trees:
        group = checked_row(_Group, tree, where)
        if not group.prompt_id.startswith("arithmetic ") or group.reference is None:
            raise ValueError(
                f"{where}: {group.prompt_id} is no problem of task.kind=arithmetic, and only of that task can a "
                "rule say which step is wrong: give a file of labelled rows"
            )
        problem = Problem(group.prompt_id, group.prompt, group.answer, group.reference)
        for one in group.rollouts:
            if one.correct is False and one.text:
                kinds = {"end": "cut off" if one.truncated else "finished"}
                rows[problem.id, one.text] = _arithmetic_row(problem, one.text, kinds)
    if not rows:
        raise ValueError(f"{path}: the run has no wrong answer with a text: there is nothing to judge")
    return tuple(rows.values())
