"""Settings of the problems."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from raysgpo.config.section import Section


class TaskConfig(Section):
    """Where the problems come from and how answers are graded."""

    kind: Literal["arithmetic", "math"] = "arithmetic"
    """``arithmetic`` is generated from a seed; ``math`` reads JSONL rows of question, answer and solution."""
    path: str | None = None
    """math: the JSONL file to train on."""
    eval_path: str | None = None
    """math: the JSONL file of held-out problems; None holds out ``evaluation.prompts`` rows of ``path``."""
    prompts: int = Field(1024, ge=1)
    """arithmetic: number of training prompts (one epoch)."""
    terms: tuple[int, ...] = (4,)
    """arithmetic: numbers of terms in a chain; the difficulty dial, drawn uniformly."""
    digits: int = Field(1, ge=1, le=4)
    """arithmetic: digits of a term."""
    operators: str = "+-"
    """arithmetic: the operators a chain is drawn from, out of ``+-*``."""
    seed: int = 0
    """arithmetic: seed of the generator, apart from the run's, so that seeds share their problems."""
    format_reward: float = Field(0.0, ge=0.0)
    """Reward part ``format``: given when the response states a final answer in the asked form."""
    max_reasoning_steps: int = Field(64, ge=1)
    """math: where a response has more reasoning steps, neighbours are merged."""
    grade_deadline: float = Field(5.0, gt=0)
    """Seconds for grading one response; past it the grading has failed."""
    failed_grading: Literal["wrong", "drop"] = "wrong"
    """What becomes of a response whose grading raised or hung, beside being counted: ``wrong`` gives it the least
    correctness reward, ``drop`` drops its group."""

    @field_validator("terms", mode="before")
    @classmethod
    def _one_or_many(cls, terms: Any) -> Any:
        """``task.terms=4`` is the common case of ``task.terms=[4]``."""
        return (terms,) if isinstance(terms, int) else terms
