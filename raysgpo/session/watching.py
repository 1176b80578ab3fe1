"""What the main thread does while the trainer runs: shows what is new, and passes Ctrl-C on."""

from __future__ import annotations

import time

from raysgpo.output.console import Console
from raysgpo.output.run_lock import RunLock
from raysgpo.remote import result
from raysgpo.session.interrupts import Interrupts
from raysgpo.session.moving_parts import MovingParts
from raysgpo.tracking.trackers import Trackers

POLL_SECONDS = 0.25
"""How often the console asks the conductor what is new."""


def watch(parts: MovingParts, console: Console, trackers: Trackers, interrupts: Interrupts, lock: RunLock) -> None:
    """Return when the trainer has ended.

    Raises:
        WriteFailed: there is no room on the disk for what the run records.
        RunTaken: another process works in the run's folder.
        RuntimeError: no further groups will come.
    """
    seen, told, end_judging = 0, False, parts.end_judging
    while True:
        lock.check()
        running = parts.trainer.running
        parts.check()
        status = result(parts.conductor.status.remote(seen))
        seen += len(status.rows)
        for message in status.messages:
            console.say(message)
        for row in status.rows:
            console.row(row)
            trackers.row(row)
        console.phase(status.phase)
        if status.failure is not None:
            raise status.failure
        if status.no_groups is not None:
            raise RuntimeError(status.no_groups)
        if end_judging is not None and not status.judging:
            console.say("judging is over: the judge replicas are taken down")
            end_judging()
            end_judging = None
        if interrupts.count and not told:
            result(parts.conductor.stop_after_step.remote())
            told = True
        if not running:
            return
        time.sleep(POLL_SECONDS)
