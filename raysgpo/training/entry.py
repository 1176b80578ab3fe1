"""Ray Train's entry point. Its controller reads this file and trains nothing, so it imports nothing heavy."""

from __future__ import annotations

from typing import Any


def train_loop(settings: dict[str, Any]) -> None:
    """``settings`` is {"job": TrainJob}."""
    from ray.exceptions import RayActorError

    from raysgpo.training.worker import TrainWorker

    try:
        TrainWorker(settings["job"]).run()
    except RayActorError:
        return  # The conductor is gone, and with it the run that these workers belong to: others will follow.
