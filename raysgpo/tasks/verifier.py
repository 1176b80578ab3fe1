"""The explanatory-verifier task: which of two responses to a question is right? (CoRPO, arXiv 2511.04439, section 4.1)

A row is ``{"question": ..., "solution_a": ..., "solution_b": ..., "correct_a": true, "correct_b": false}``.
A row without ``solution_b`` shows one response alone. ``id`` and ``domain`` may be given; a domain's
rows are evaluated apart. All other fields are kept as metadata, beside ``category`` and ``shown``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from raysgpo.config import TaskConfig
from raysgpo.data.input_rows import checked_row
from raysgpo.data.rows import Which, read_rows
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.held_out import divided
from raysgpo.tasks.rating_grading import BOTH, FIRST, NEITHER, RIGHT, SECOND, WRONG, RatingGrading
from raysgpo.tasks.ratings import REWARD_RANGE
from raysgpo.tasks.reasoning import split_steps
from raysgpo.tasks.turns import behind, instructed

PAIR = """\
Here are a question and two responses to it, A and B. Either may be right or wrong.
Work out whether each is right and explain why. End with two lines,
Rating A: N
Rating B: N
where N is a number from 0 (surely wrong) to 10 (surely right).

# Question
{question}

# Response A
{first}

# Response B
{second}"""
SINGLE = """\
Here are a question and a response to it, which may be right or wrong.
Work out whether it is right and explain why. End with the line
Rating: N
where N is a number from 0 (surely wrong) to 10 (surely right).

# Question
{question}

# Response
{first}"""
CATEGORIES = {
    FIRST: "first_correct",
    SECOND: "second_correct",
    BOTH: "both_correct",
    NEITHER: "both_incorrect",
    RIGHT: "single_correct",
    WRONG: "single_incorrect",
}
"""What the evaluation tells apart, by the truth."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question with one or two responses whose truth is known."""

    id: str
    question: str
    responses: tuple[str, ...]
    right: tuple[bool, ...]
    domain: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def truth(self) -> str:
        """``Problem.answer``: which of the responses is right."""
        first, second = self.right[0], self.right[-1]
        if len(self.right) == 1:
            return RIGHT if first else WRONG
        if first == second:
            return BOTH if first else NEITHER
        return FIRST if first else SECOND

    def problem(self, pair: str = PAIR, single: str = SINGLE, reference: str | None = None) -> Problem:
        """What the policy sees, in the words of the two templates."""
        template = pair if len(self.responses) == 2 else single
        question, first, second = map(_trimmed, (self.question, self.responses[0], self.responses[-1]))
        prompt = template.format(question=question, first=first, second=second)
        kind = CATEGORIES[self.truth]
        category = kind if self.domain is None else f"{self.domain}/{kind}"
        return Problem(self.id, prompt, self.truth, reference, {**self.metadata, "category": category})

    def swapped(self) -> Case:
        """Its two responses the other way around."""
        shown = {**self.metadata, "shown": "BA"}
        return Case(self.id, self.question, self.responses[::-1], self.right[::-1], self.domain, shown)

    def alone(self, which: int) -> Case:
        """One of its responses by itself."""
        shown = {**self.metadata, "shown": "AB"[which]}
        return Case(self.id, self.question, (self.responses[which],), (self.right[which],), self.domain, shown)


class VerifierTask:
    """The rows of ``config.path``, less those held out; a :class:`raysgpo.tasks.task.Task`.

    Held out are ``held_out`` rows of ``config.eval_path``, or of ``config.path`` itself where there is
    none; no question of them is in ``train``. Of the training pairs the share ``config.singles`` is
    shown as one of its responses alone, and so is every pair whose responses are both right or both
    wrong: its label, "B is better" or not, would teach to prefer A. Half of the others are shown the
    other way around, so that a file whose first responses are all right teaches no place.
    """

    reward_range = REWARD_RANGE

    def __init__(self, config: TaskConfig, held_out: int) -> None:
        assert config.path is not None, "the configuration refuses task.kind=verifier without task.path"
        self._max_steps = config.max_reasoning_steps
        line = behind(config.instruction or "")
        rows = read_cases(config, "path")
        source = rows if config.eval_path is None else read_cases(config, "eval_path")
        kept, left = divided(rows, source, held_out, lambda case: case.question)
        self.held_out: Sequence[Problem] = tuple(instructed(case.problem(), line) for case in kept)
        self.train: Sequence[Problem] = tuple(instructed(_for_training(case, config).problem(), line) for case in left)
        self.grade = RatingGrading(config.format_reward, config.pair_reward == "difference")
        """Called as ``grade(problem, text)``."""

    def split(self, text: str) -> list[str]:
        return split_steps(text, self._max_steps)


class _Row(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    question: str = Field(min_length=1)
    solution_a: str
    correct_a: StrictBool
    solution_b: str | None = None
    correct_b: StrictBool | None = None
    id: str
    domain: str | None = None


def read_cases(config: TaskConfig, which: Which = "path") -> tuple[Case, ...]:
    """Every row of ``config``.

    Raises:
        ValueError: a row that cannot be used, with file and row.
    """
    return tuple(_case(checked_row(_Row, row, where), where) for _, where, row in read_rows(config, which))


def is_single(config: TaskConfig, identity: str) -> bool:
    """Whether this problem is one of the share ``task.singles``; it follows from its id and ``task.seed``."""
    return derive_seed("single", config.seed, identity) % 1000 < 1000 * config.singles


def _case(row: _Row, where: str) -> Case:
    if (row.solution_b is None) != (row.correct_b is None):
        missing = "correct_b" if row.correct_b is None else "solution_b"
        raise ValueError(f"{where}: no {missing}: a second response is solution_b together with correct_b")
    responses = (row.solution_a,) if row.solution_b is None else (row.solution_a, row.solution_b)
    right = (row.correct_a,) if row.correct_b is None else (row.correct_a, row.correct_b)
    return Case(row.id, row.question, responses, right, row.domain, dict(row.model_extra or {}))


def _for_training(case: Case, config: TaskConfig) -> Case:
    if len(case.responses) == 1:
        return case
    drawn = derive_seed("shown", config.seed, case.id) % 2
    if case.truth not in (FIRST, SECOND) or is_single(config, case.id):
        return case.alone(drawn)
    return case.swapped() if drawn else case


def _trimmed(text: str) -> str:
    """Without blank lines at its ends; the indentation of code stays."""
    return text.strip("\n").rstrip()
