"""Takes down what a driver that was killed has left on a cluster that goes on.

Serve's applications are detached: they belong to the cluster and not to the run. So an actor that is detached too
watches whether the run's driver is alive, by the cluster's own book, and deletes its applications when it is not. A
cluster that cannot be asked just now is no reason.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray._private import state, worker

from raysgpo.remote import on_this_node
from raysgpo.serving.application import delete

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two looks at the book."""
GRACE = 5.0
"""Seconds that requests under way may take when an application is deleted."""


class Reaper:
    """An actor; watches from its creation on."""

    def __init__(self, job: str, applications: Sequence[str]) -> None:
        """``job``: Ray's id of the driver, as hex digits."""
        self._job = job
        self._applications = applications
        threading.Thread(target=self._watch, name="reaper", daemon=True).start()

    def ready(self) -> None:
        """Answers once it watches."""

    def _watch(self) -> None:
        while not driver_is_gone(self._job):
            time.sleep(PERIOD)
        for name in self._applications:
            try:
                delete(name, GRACE)
            except Exception as error:  # the others are to go all the same
                log.warning("%s could not be deleted: %s", name, error)
        ray.kill(ray.get_runtime_context().current_actor)


def driver_is_gone(job: str) -> bool:
    """Whether the cluster says that the driver has ended. False where it cannot be asked."""
    try:
        entries: list[dict[str, Any]] = state.jobs()
    except Exception:  # a head that is being started again
        return False
    return any(entry["JobID"] == job and (entry.get("IsDead") or entry.get("EndTime")) for entry in entries)


@contextmanager
def reaping(applications: Sequence[str]) -> Iterator[None]:
    """Within the block the applications do not outlive this driver, also where it is killed.

    A cluster that this driver started ends with it and needs nobody.
    """
    if started_here():
        yield
        return
    job = ray.get_runtime_context().get_job_id()
    options = {"num_cpus": 0, "lifetime": "detached", "name": f"reaper {applications[0]}", "namespace": "raysgpo"}
    # Beside the driver, so that it does not fall with a node that the driver survives; and where both fall, elsewhere.
    here = on_this_node(soft=True)
    reaper = (
        ray.remote(Reaper).options(**options, max_restarts=-1, scheduling_strategy=here).remote(job, list(applications))
    )
    try:
        yield
    finally:
        ray.kill(reaper)


def started_here() -> bool:
    """Whether this driver started the cluster, so that it ends with it."""
    node = worker._global_node
    return node is not None and node.head
