"""What the workers of Ray Train are given."""

from __future__ import annotations

from dataclasses import dataclass

from raysgpo.conductor.handle import ConductorHandle
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.output.run_folder import RunFolder
from raysgpo.weights.transport import WeightPublisher


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What every worker of the group is given."""

    config: ResolvedConfig
    run: RunFolder
    conductor: ConductorHandle
    publisher: WeightPublisher
    """What becomes of new weights."""
    total_steps: int
