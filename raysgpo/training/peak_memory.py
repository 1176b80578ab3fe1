"""How much memory a process took at most, while something ran in it."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType

import torch
import torch.distributed as dist

from raysgpo.output.metrics import Metrics

STATUS = Path("/proc/self/status")
INTERVAL = 0.01
"""Seconds between two looks."""


def anonymous_bytes() -> int | None:
    """What this process holds in memory, files that are mapped into it apart; None where the system does not say."""
    try:
        text = STATUS.read_text()
    except OSError:
        return None
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else None


class PeakMemory:
    """Watches while its block runs; ``host`` and ``device`` are bytes afterwards, None where nobody says.

    The host's is looked at every 10 ms, so what is gone again sooner may be missed.
    """

    def __init__(self) -> None:
        self.host: int | None = None
        self.device: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        if torch.cuda.is_available():
            self.device = torch.cuda.max_memory_allocated()

    def of_all_ranks(self) -> Metrics:
        """Of each rank, GiB. Collective."""
        mine = {"host": self.host, "device": self.device}
        ranks: list[dict[str, int | None]] = [mine] * dist.get_world_size()
        dist.all_gather_object(ranks, mine)
        return {
            f"start/{where}_gib/rank_{rank}": taken / 2**30
            for rank, peak in enumerate(ranks)
            for where, taken in peak.items()
            if taken is not None
        }

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        now = anonymous_bytes()
        if now is not None:
            self.host = max(now, self.host or 0)
