"""The processes of a run by their role, and what can be done to them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

Title = Callable[[str], bool]


def titled(*parts: str) -> Title:
    return lambda title: all(part in title for part in parts)


ROLES: dict[str, Title] = {
    "rollout replica": lambda title: "-rollout" in title and title.startswith(("ray::ServeReplica", "ray::SERVE_REPL")),
    "engine core": titled("VLLM::EngineCore"),
    "judge replica": lambda title: "-judge" in title and title.startswith(("ray::ServeReplica", "ray::SERVE_REPL")),
    "train worker": titled("ray::RayTrainWorker"),
    "group worker": titled("ray::MapWorker"),
    "conductor": titled("ray::Conductor"),
    "weight store": titled("ray::WeightStore"),
    "Serve controller": titled("ray::ServeController"),
    "Serve proxy": titled("ray::ProxyActor"),
    "Train controller": titled("ray::TrainController"),
    "driver": titled("jobs/train.py"),
    "GCS": titled("gcs_server"),
}
"""Role to whether a process of this title has it."""
ENDS_THE_RUN = ("driver", "GCS")
"""Roles that no run survives: it is gone on with by its command."""
OF_THE_RUN = ("ray::", "VLLM::", "jobs/train.py")
OF_THE_CLUSTER = (
    "ray::IDLE",
    "ray::ServeController",
    "ray::ProxyActor",
    "ray::Reaper",
    "ray::_",
    "ray::ActorLocationTracker",  # of Ray Data, detached
)
"""In the titles of those that are the run's, but for those that a cluster keeps when a run on it has ended."""
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Ray's own, of a node: when its raylet and its GCS were killed, they wait for the GCS for another minute."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A process that was there, by what the kernel never uses twice."""

    pid: int
    born: float
    title: str

    @property
    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.born and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    @property
    def title_now(self) -> str:
        """A worker of Ray is called after what it does; empty for one that is gone."""
        with contextlib.suppress(psutil.Error):
            return " ".join(psutil.Process(self.pid).cmdline())
        return ""

    def strike(self, number: signal.Signals) -> None:
        with contextlib.suppress(psutil.Error):
            psutil.Process(self.pid).send_signal(number)


def family(pids: Iterable[int]) -> list[Seen]:
    """These processes and all below them."""
    found = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            top = psutil.Process(pid)
            for process in [top, *top.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    seen = Seen(process.pid, process.create_time(), " ".join(process.cmdline()))
                    found[seen.pid, seen.born] = seen
    return list(found.values())


def those_of(role: str, processes: list[Seen]) -> list[Seen]:
    return [seen for seen in processes if ROLES[role](seen.title)]


def of_the_run(title: str) -> bool:
    """Whether a process on a cluster that goes on belongs to a run, and is to end with it."""
    return any(part in title for part in OF_THE_RUN) and not any(part in title for part in (*OF_THE_CLUSTER, *AGENTS))
