"""Settings of the problems."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator

from raysgpo.config.section import Section


class TaskConfig(Section):
    """Where the problems come from and how answers are graded."""

    kind: Literal["arithmetic", "math", "verifier", "arithmetic_verifier"] = "arithmetic"
    """``arithmetic`` is generated from a seed; ``math`` reads JSONL rows of question, answer and solution;
    ``verifier`` reads questions with two responses and rates them; ``arithmetic_verifier`` is its generated twin."""
    path: str | None = None
    """math, verifier: the JSONL file to train on."""
    eval_path: str | None = None
    """math, verifier: the JSONL file of held-out problems; None holds out ``evaluation.prompts`` rows of ``path``."""
    prompts: int = Field(1024, ge=1)
    """Generated tasks: number of training prompts (one epoch)."""
    terms: tuple[int, ...] = (4,)
    """Generated tasks: numbers of terms in a chain; the difficulty dial, drawn uniformly."""
    digits: int = Field(1, ge=1, le=4)
    """Generated tasks: digits of a term."""
    operators: str = "+-"
    """Generated tasks: the operators a chain is drawn from, out of ``+-*``."""
    singles: float = Field(0.2, ge=0, le=1)
    """Verifier tasks: share of the training pairs with one right response that show one of the two alone."""
    seed: int = 0
    """Generated tasks, verifier: seed of the problems, apart from the run's, so that seeds share their problems."""
    format_reward: float = Field(0.0, ge=0.0)
    """Reward part ``format``: given when the response states a final answer in the asked form."""
    max_reasoning_steps: int = Field(64, ge=1)
    """math, verifier: where a response has more reasoning steps, neighbours are merged."""
    grade_deadline: float = Field(5.0, gt=0)
    """Seconds for grading one response; past it the grading has failed."""
    failed_grading: Literal["wrong", "drop"] = "wrong"
    """What becomes of a response whose grading raised or hung, beside being counted: ``wrong`` gives it the least
    correctness reward, ``drop`` drops its group."""

    @property
    def coin_flip(self) -> float | None:
        """The reward of a guess, where the task knows it: the R_min_correct of the verifier tasks, ln 0.5."""
        return math.log(0.5) if self.is_verifier else None

    @property
    def is_verifier(self) -> bool:
        return self.kind in ("verifier", "arithmetic_verifier")

    @field_validator("terms", mode="before")
    @classmethod
    def _one_or_many(cls, terms: Any) -> Any:
        """``task.terms=4`` is the common case of ``task.terms=[4]``."""
        return (terms,) if isinstance(terms, int) else terms


def impossible_task(task: TaskConfig) -> str | None:
    """What cannot work among the settings of the task, with the fix."""
    rows = {
        "math": "question, answer and solution",
        "verifier": "question, solution_a, solution_b, correct_a and correct_b",
    }
    if task.kind in rows and task.path is None:
        return f"task.kind={task.kind} needs task.path, a JSONL file of {rows[task.kind]}"
    if set(task.operators) - set("+-*") or not task.operators:
        return f"task.operators={task.operators!r}: choose from + - *"
    if not task.terms or min(task.terms) < 2:
        return f"task.terms={list(task.terms)}: a chain needs 2 terms or more"
    return None
