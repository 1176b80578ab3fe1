"""The trackers of a run, none of which can hold it up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from raysgpo.config import Config
from raysgpo.config.overrides import Tree
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.tracking.tracker import Tracker, tracker_class

PATIENCE = 60.0
"""Seconds that all trackers together may take at the end for the rows that are still with them."""

Say = Callable[[str], None]


class Trackers:
    """Each gets every row, in a thread of its own: a server that fails or hangs costs rows there, which the run's
    records have too, and nothing else. It is told once, and counted at the end."""

    def __init__(self, config: Config, run: RunFolder, step: int, say: Say) -> None:
        """``step``: optimizer steps done."""
        settings: Tree = config.model_dump(mode="json")
        self._say = say
        self._threads = [TrackerThread(name, run, step, settings, say) for name in config.records.trackers]

    def row(self, row: Metrics) -> None:
        for thread in self._threads:
            thread.row(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.end(failed=kind is not None)
        until = time.monotonic() + PATIENCE
        for thread in self._threads:
            late = " did not answer in time and" if thread.late(max(0.0, until - time.monotonic())) else ""
            if thread.lost:
                rows = f"{thread.lost} rows of this run; metrics.jsonl and evaluations.jsonl have all"
                self._say(f"{thread.name}{late} lacks {rows}")


class TrackerThread:
    """One tracker, from its beginning to its end."""

    def __init__(self, name: str, run: RunFolder, step: int, settings: Tree, say: Say) -> None:
        self.name = name
        self._begin: Callable[[], Tracker] = lambda: tracker_class(name)(run, step, settings)
        self._say = say
        self._tracker: Tracker | None = None
        self._told = False
        self._given, self._taken = 0, 0
        self._failed = False
        self._rows: SimpleQueue[Metrics | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Rows that it was given and has not taken."""
        return self._given - self._taken

    def row(self, row: Metrics) -> None:
        self._given += 1
        self._rows.put(row)

    def end(self, failed: bool) -> None:
        self._failed = failed
        self._rows.put(None)

    def late(self, seconds: float) -> bool:
        """Whether it is still at work after so many more seconds."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def _work(self) -> None:
        self._try(self._ready)
        while (row := self._rows.get()) is not None:
            if self._try(lambda row=row: self._ready().row(row)):  # type: ignore[misc]
                self._taken += 1
        if self._tracker is not None:
            self._try(lambda: self._ready().close(self._failed))

    def _ready(self) -> Tracker:
        """The tracker, which is begun again with each row until it once succeeds."""
        if self._tracker is None:
            self._tracker = self._begin()
            if self._tracker.place is not None:
                self._say(f"{self.name}: {self._tracker.place}")
        return self._tracker

    def _try(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except Exception as error:  # the boundary of the thread: whatever a tracker raises, the run goes on
            if not self._told:
                lines = str(error).strip().splitlines()
                said = f": {lines[0]}" if lines else ""
                self._say(
                    f"{self.name} fails, and the run goes on without it ({type(error).__name__}{said}; said once)"
                )
            self._told = True
            return False
        return True
