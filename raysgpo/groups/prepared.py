"""A run that can start: what the preparation found and where it begins, for those who only read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.data.report import DataReport
from raysgpo.guidance.trajectory import Trajectory
from raysgpo.records import Problem, Turns
from raysgpo.tasks.question_set import QuestionSet
from raysgpo.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Prompt:
    problem: Problem
    token_ids: list[int]
    """The problem under the chat template, up to where the answer starts."""
    trajectory: Trajectory | None = None
    """What may be given of the true reasoning; None without guidance, or where it has nothing to give."""
    before: Turns = ()
    """The turns of the chat before the problem; they are in ``token_ids``."""


@dataclass(frozen=True, slots=True)
class EncodedSet:
    """A set of questions as a model is asked them."""

    of: QuestionSet
    token_ids: dict[str, list[int]]
    """Of each question that leaves room for an answer, by its id, under the chat template."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The settings with every automatic value filled in, and the data."""

    config: ResolvedConfig
    task: Task
    train: list[Prompt]
    held_out: list[Prompt]
    total_steps: int
    report: DataReport = field(default_factory=DataReport)
    """What was read of the data; empty once it is written down."""
    sets: tuple[EncodedSet, ...] = ()
    """What the policy is evaluated on beside the held-out prompts (``evaluation.sets``)."""


@dataclass(frozen=True, slots=True)
class StartState:
    """Where a run begins; all of it stands in a checkpoint."""

    step: int = 0
    """Optimizer steps done."""
    position: int = 0
    """Where the next step begins in the stream."""
    version: int = 0
    """The newest weight version of the run so far; published versions are above it."""
    solved: tuple[str, ...] = ()
    """Ids of the training problems ever solved."""
    controllers: dict[str, Any] = field(default_factory=dict)
    """What each controller of the conductor goes on from, by its name."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each file of records at that step, by its name."""
    messages: tuple[str, ...] = ()
    """What was said of the checkpoints that were passed over; the trainer, who looks again, finds the same."""
