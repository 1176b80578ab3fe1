"""What Ray Train runs in each worker. The driver reads this file as well, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raysgpo.training.job import TrainJob


def train_loop(job: TrainJob) -> None:
    """From the run's last checkpoint to its end, or until this group of workers is put away."""
    from ray.exceptions import RayActorError

    from raysgpo.remote import result

    try:
        result(job.conductor.say.remote(None))
    except RayActorError:
        return  # The conductor is gone, and with it the run that these workers were started again for.
    from raysgpo.training.worker import TrainWorker

    TrainWorker(job).run()
