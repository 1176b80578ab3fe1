"""Ctrl-C and SIGTERM: the first ends a run after its step, the second at once; while it starts, the first at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Say = Callable[[str], None]


class Interrupts:
    """Counts Ctrl-C and SIGTERM (``ray job stop``): the first ends the run after its step, the second at once.

    While the run is ``starting`` there is no step to wait for, and the first ends it at once.
    """

    def __init__(self, say: Say, starting: bool = False) -> None:
        self.count = 0
        self.say = say
        self.starting = starting

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        again = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self.starting:
            self.say(f"stopping what has started ({again} again to leave it)")
            raise KeyboardInterrupt
        self.say(f"stopping after this step, with a checkpoint ({again} again to stop at once)")


@contextmanager
def interruptible(say: Say, starting: bool = False) -> Iterator[Interrupts]:
    """Signals are counted, and end nothing by themselves, within the block; while it is ``starting`` they end it."""
    handler = Interrupts(say, starting)
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield handler
    finally:
        for number, former in before.items():
            signal.signal(number, former)
