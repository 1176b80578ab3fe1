"""What the workers of Ray Train are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raysgpo.conductor.handle import ConductorHandle
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.weights.transport import WeightPublisher


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What every worker of the group is given."""

    config: ResolvedConfig
    checkpoints: Path
    conductor: ConductorHandle
    publisher: WeightPublisher
    """What becomes of new weights."""
    total_steps: int
