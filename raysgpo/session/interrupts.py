"""Ctrl-C and SIGTERM: the first ends a run after its step, the second at once; while it starts, the first at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Say = Callable[[str], None]


class Interrupts:
    """Counts Ctrl-C and SIGTERM (``ray job stop``): the first ends the run after its step, the second at once.

    While something starts there is no step to wait for, and the first ends it at once.
    """

    def __init__(self, say: Say) -> None:
        self.count = 0
        self.say = say
        self._starting = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Something starts within the block."""
        self._starting = True
        try:
            yield
        finally:
            self._starting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        again = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self._starting:
            self.say(f"stopping what has started ({again} again to leave it)")
            raise KeyboardInterrupt
        self.say(f"stopping after this step, with a checkpoint ({again} again to stop at once)")


@contextmanager
def interruptible(say: Say) -> Iterator[Interrupts]:
    """Signals are counted, and end nothing by themselves, within the block."""
    handler = Interrupts(say)
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield handler
    finally:
        for number, former in before.items():
            signal.signal(number, former)
