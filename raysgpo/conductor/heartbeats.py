"""Which group workers are still heard of. Ray Data waits for one that hangs for as long as it does."""

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

    def heard(self, name: str, worker: Any) -> None:
        """``name`` of the actor whose handle ``worker`` is: it lives."""
        self._heard[name] = (worker, self._clock())

    def kill_silent(self) -> int:
        """How many were."""
        silent = [name for name, (_, last) in self._heard.items() if self._clock() - last > PATIENCE]
        for name in silent:
            worker, _ = self._heard.pop(name)
            self._kill(worker)
        return len(silent)
