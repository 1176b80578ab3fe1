"""A run that can start: what the preparation found, for those who only read it."""

from __future__ import annotations

from dataclasses import dataclass

from raysgpo.config import Config
from raysgpo.guidance.trajectory import Trajectory
from raysgpo.records import Problem
from raysgpo.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Prompt:
    problem: Problem
    token_ids: list[int]
    """The problem under the chat template, up to where the answer starts."""
    trajectory: Trajectory | None = None
    """What may be given of the true reasoning; None without guidance, or where it has nothing to give."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The settings with every automatic value filled in, and the data."""

    config: Config
    task: Task
    train: list[Prompt]
    held_out: list[Prompt]
    total_steps: int
