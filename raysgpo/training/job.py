"""What the workers of Ray Train are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysgpo.config import Config


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What every worker of the group is given."""

    config: Config
    checkpoints: Path
    conductor: Any
    """Actor handle of the conductor."""
    store: Any
    """Actor handle of the weight store; None where nobody wants the weights."""
    rollout: Any
    """Serve handle of the rollout deployment; None likewise."""
    total_steps: int
    score: bool = False
    """Whether recorded groups wait for the logprobs of the policy that the run starts from."""


def train_loop(settings: dict[str, Any]) -> None:
    """Ray Train's entry point; ``settings`` is {"job": TrainJob}."""
    from raysgpo.training.worker import TrainWorker  # Ray Train's controller reads this file and trains nothing

    TrainWorker(settings["job"]).run()
