"""Ray Train in a side thread: ``fit()`` blocks and would take Ctrl-C for itself on the main one."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._private import state, worker
from ray.exceptions import ActorDiedError, RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig

from raysgpo.config import TrainerConfig
from raysgpo.config.run_name import plain_name
from raysgpo.planning.demand import amounts
from raysgpo.remote import Pulse
from raysgpo.training.absence import Absence
from raysgpo.training.elastic import ElasticTrainer
from raysgpo.training.entry import train_loop
from raysgpo.training.job import TrainJob
from raysgpo.training.run_trainer import RunTrainer

END_DEADLINE = 60.0
"""Seconds that workers without a conductor may take to notice it, and Ray Train to put them away."""
CONTROLLER_PATIENCE = 300.0
"""Seconds that Ray Train's controller may take to answer: while it starts its workers it answers nothing."""
LOOK_EVERY = 10.0
"""Seconds from one look at the workers to the next."""
WORKER_PATIENCE = 120.0
"""Seconds that a train worker may take to answer the controller."""


class TrainerThread:
    """Runs the workers to the end. A worker that is dead or hangs starts again from the last checkpoint, a bounded
    number of times."""

    def __init__(self, job: TrainJob, folder: Path, workers: int, say: Callable[[str], None]) -> None:
        """``folder``: of the run; Ray Train keeps its own files in ``train/`` there; ``workers``: how many to start
        with."""
        self.failure: BaseException | None = None
        self._trainer = _trainer(job, folder, workers)
        self._thread = threading.Thread(target=self._fit, name="trainer", daemon=True)
        self._controller: Any = None
        self._pulse: Pulse[Any] | None = None
        self._absence = Absence(job.config, say)
        self._looked = 0.0

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def check(self) -> None:
        """Whether the workers are there, and who starts them again.

        Raises:
            Hung: Ray Train's controller hangs, and nobody would start a dead worker again.
            RuntimeError: there has been no room for workers for too long.
        """
        if self._pulse is None and (controller := self._find_controller()) is not None:
            self._pulse = Pulse("Ray Train's controller", controller.__ray_ready__.remote, CONTROLLER_PATIENCE)
        if self._pulse is not None:
            with suppress(RayActorError):  # ``fit`` raises that as well
                self._pulse.answer()
        now = time.monotonic()
        if self.running and now - self._looked > LOOK_EVERY:
            self._looked = now
            self._absence.look(len(self._actors("RayTrainWorker")))

    def wait(self) -> None:
        """Return once the workers have ended. Without a conductor they do so by themselves, unless their controller
        hangs; then it is killed, and they end with it."""
        self._thread.join(END_DEADLINE)
        self.kill()

    def kill(self) -> None:
        """Kill the workers' controller, and them with it: nothing that they do is wanted."""
        if self.running and (controller := self._find_controller()) is not None:
            ray.kill(controller)

    def _find_controller(self) -> Any:
        """Its handle, which Ray Train keeps to itself; None while there is none."""
        if self._controller is None:
            actors = self._actors("TrainController")
            if actors:  # of two, the other is the one before, which is being killed
                newest = max(actors, key=lambda actor: actor["StartTime"])
                actor_id = ray.ActorID(bytes.fromhex(newest["ActorID"]))
                self._controller = worker.global_worker.core_worker.get_actor_handle(actor_id)
        return self._controller

    def _actors(self, name: str) -> list[dict[str, Any]]:
        """Those of Ray Train in this run that are alive, by the name of their class."""
        mine = (name, ray.get_runtime_context().get_job_id(), "ALIVE")
        return [a for a in state.actors().values() if (a["ActorClassName"], a["JobID"], a["State"]) == mine]

    def raise_failure(self) -> None:
        """Raises what ended the workers, if anything did; the thread has ended."""
        if self.failure is not None:
            raise self.failure

    def _fit(self) -> None:
        logging.getLogger("ray.train").setLevel(logging.CRITICAL)
        os.environ.setdefault("RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", f"{WORKER_PATIENCE:g}")
        try:
            self._trainer.fit()
        except BaseException as error:  # the boundary of the thread: the run prints it and ends
            self.failure = error


def _trainer(job: TrainJob, folder: Path, workers: int) -> RunTrainer:
    settings: TrainerConfig = job.config.trainer
    trainer = partial(ElasticTrainer, workers) if settings.elastic else RunTrainer
    return trainer(
        # No train_loop_config, which Ray Train's controller would unpickle, and import all that a job holds.
        train_loop_per_worker=partial(train_loop, job),
        torch_config=TorchConfig(
            backend="nccl" if settings.gpus else "gloo", timeout_s=int(settings.collective_timeout)
        ),
        scaling_config=ScalingConfig(
            num_workers=settings.workers if settings.elastic else settings.workers[0],
            elastic_resize_monitor_interval_s=settings.resize_period,
            label_selector=settings.label_selector or None,
            use_gpu=settings.gpus > 0,
            resources_per_worker=amounts(settings.cpus, settings.gpus),
        ),
        run_config=RunConfig(
            name=plain_name(folder.name),  # what the Ray dashboard and Ray's own metrics call it
            storage_path=str(folder / "train"),
            failure_config=FailureConfig(max_failures=settings.max_failures),
        ),
    )


def root_cause(error: BaseException) -> str:
    """The innermost reason of a failed run, without the frames of the machinery around it."""
    if isinstance(error, ActorDiedError) and (death := _death(str(error))) is not None:
        return death
    failures = getattr(error, "worker_failures", None)
    if failures:
        rank, failure = next(iter(sorted(failures.items())))
        return f"train worker {rank}: {root_cause(failure)}"
    for attribute in ("cause", "health_check_failure", "controller_failure"):
        inner = getattr(error, attribute, None)
        if isinstance(inner, BaseException) and inner is not error:
            return root_cause(inner)
    inner = error.__cause__
    if inner is not None and not str(error).strip():
        return root_cause(inner)
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip() if lines else 'no message'}"


def _death(text: str) -> str | None:
    """What Ray says of an actor's death, in one line and without its advice; None if it does not know which."""
    name = re.search(r"class_name: (\S+)", text)
    if name is None:
        return None
    reason = text.strip().splitlines()[-1].partition(" Some common causes")[0].rpartition("Worker exit detail: ")[2]
    return f"the process of {name[1]} died: {reason.strip().rstrip('.')}"
