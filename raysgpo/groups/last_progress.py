"""When the groups of a process last got on, whichever of them and by whatever: a token, a grade, a vote."""

from __future__ import annotations

import time
from collections.abc import Callable


class LastProgress:
    """Told by all who make groups; one event loop uses it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()

    def made(self) -> None:
        """Something got on now."""
        self._at = self._clock()

    @property
    def ago(self) -> float:
        """Seconds since then; since the start, before anything did."""
        return self._clock() - self._at
