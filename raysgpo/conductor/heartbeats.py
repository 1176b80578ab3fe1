"""Which group workers are still heard of, and when the groups of any of them last got on.

Ray Data waits for one that hangs for as long as it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ray

PERIOD = 5.0
"""Seconds between two signs of life."""
PATIENCE = 120.0
"""Seconds of silence after which a worker counts as hung: its event loop may be cutting long answers."""


class Heartbeats:
    """A worker that is silent is killed; Ray starts it again, and Ray Data gives it its positions again."""

    def __init__(
        self,
        kill: Callable[[Any], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kill = kill or partial(ray.kill, no_restart=False)
        self._clock = clock
        self._heard: dict[str, tuple[Any, float]] = {}
        self._progress = clock()

    def heard(self, name: str, worker: Any, ago: float) -> None:
        """``name`` of the actor whose handle ``worker`` is: it lives, and a group of its own got on so long ago."""
        now = self._clock()
        self._heard[name] = (worker, now)
        self._progress = max(self._progress, now - ago)

    @property
    def progress_ago(self) -> float:
        """Seconds since a group of any worker is known to have got on."""
        return self._clock() - self._progress

    def kill_silent(self) -> int:
        """How many were."""
        silent = [name for name, (_, last) in self._heard.items() if self._clock() - last > PATIENCE]
        for name in silent:
            worker, _ = self._heard.pop(name)
            self._kill(worker)
        return len(silent)
