"""Ray Train's entry point. Its controller reads this file and trains nothing, so it imports nothing heavy."""

from __future__ import annotations

from typing import Any


def train_loop(settings: dict[str, Any]) -> None:
    """``settings`` is {"job": TrainJob}."""
    from ray.exceptions import RayActorError

    from raysgpo.remote import result

    job = settings["job"]
    try:
        result(job.conductor.say.remote(None))
    except RayActorError:
        return  # The conductor is gone, and with it the run that these workers were started again for.
    from raysgpo.training.worker import TrainWorker

    TrainWorker(job).run()
