"""What the run, the conductor and the trainer say to one another."""

from __future__ import annotations

import time
from dataclasses import dataclass

from raysgpo.output.metrics import Interval, Metrics, StepTimes
from raysgpo.output.whole_file import WriteFailed
from raysgpo.records import Ticket


@dataclass(frozen=True, slots=True)
class Admission:
    """Which of the positions that were asked for may start."""

    tickets: dict[int, Ticket | None]
    """Position to its ticket; None where nothing is to be sampled. Those that must wait are left out."""
    limit: int
    """Where the window stood: who waits on asks again with it, and is answered once it stands elsewhere."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What trainer rank 0 says after a step."""

    metrics: Metrics
    version: int
    """The weights after this step: already published, and landed on every replica that is up."""
    wait: Interval
    train: Interval
    sync: Interval
    checkpoint: Interval = (0.0, 0.0)
    """Training stood still for a checkpoint since the last report, if for any."""
    leaving: tuple[str, ...] = ()
    """Nodes of the trainer that are about to be taken away."""

    def times(self, start: float, evaluate: Interval) -> StepTimes:
        """The clock of a step that began at ``start`` and ends now."""
        return StepTimes(start, time.time(), self.wait, self.train, self.sync, evaluate, self.checkpoint)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the trainer does after a step."""

    checkpoint: bool
    export: bool
    """Whether that checkpoint becomes a Hugging Face folder as well."""
    stop: bool


@dataclass(frozen=True, slots=True)
class Status:
    """What the console shows."""

    rows: list[Metrics]
    messages: list[str]
    phase: str
    judging: bool
    """Whether groups are or will be judged."""
    failure: WriteFailed | None = None
    """Why the run cannot go on: there is no room on the disk."""
    no_groups: str | None = None
    """Why no further groups will come: train workers that start again would not help."""
