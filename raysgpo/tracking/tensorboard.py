"""The numbers of a run for TensorBoard."""

from __future__ import annotations

import time
from contextlib import suppress

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from raysgpo.config.overrides import Tree
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.tracking.tracker import numbers


class TensorBoardLog:
    """Writes each row of metrics or evaluations once; a resumed run hides what it wrote past its checkpoint.

    It belongs to the process of the console: TensorBoard's writer imports torch, which the conductor
    need not wait for. On a full disk it drops rows; tensorboardX's own ``SummaryWriter`` would wait for ever there.
    """

    def __init__(self, run: RunFolder, step: int, settings: Tree) -> None:
        self._folder = run.tensorboard
        self._writer: EventsWriter | None = None
        self._write([Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START))])

    @classmethod
    def unready(cls) -> str | None:
        return None

    @property
    def place(self) -> None:
        """A folder of every run."""
        return None

    def row(self, row: Metrics) -> None:
        now, step = time.time(), int(row["step"] or 0)
        found = numbers(row).items()
        self._write([Event(wall_time=now, step=step, summary=scalar(name, value)) for name, value in found])

    def close(self, failed: bool) -> None:
        self._close()

    def _write(self, events: list[Event]) -> None:
        try:
            writer = self._writer = self._writer or self._new()
            for event in events:
                writer.write_event(event)
            writer.flush()
        except OSError:  # what stands behind half an event is not read, so the next row begins another file
            self._close()

    def _new(self) -> EventsWriter:
        self._folder.mkdir(exist_ok=True)
        return EventsWriter(str(self._folder / "events"), f".{time.time_ns()}")

    def _close(self) -> None:
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
            self._writer = None
