"""Cores of the conductor's node that nobody used, whoever they belong to."""

from __future__ import annotations

import time

import psutil


class IdleCores:
    """Between two looks, from the system's own count of the seconds that its cores were idle."""

    def __init__(self) -> None:
        self._before = _seen()

    def mean(self) -> float:
        """Since the look before."""
        idle, clock = _seen()
        idle_before, clock_before = self._before
        self._before = idle, clock
        return (idle - idle_before) / max(clock - clock_before, 1e-9)


def _seen() -> tuple[float, float]:
    """Idle seconds of all cores together, waiting for a disk among them; seconds of the clock."""
    spent = psutil.cpu_times()
    return spent.idle + getattr(spent, "iowait", 0.0), time.monotonic()
