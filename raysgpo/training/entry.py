"""Ray Train's entry point. Its controller reads this file and trains nothing, so it imports nothing heavy."""

from __future__ import annotations

from typing import Any


def train_loop(settings: dict[str, Any]) -> None:
    """``settings`` is {"job": TrainJob}."""
    from raysgpo.training.worker import TrainWorker

    TrainWorker(settings["job"]).run()
