"""For how long an engine that has work has made no token: what lives and gets nowhere is as good as dead."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenWatch:
    """Asked often, and each time that work comes."""

    def __init__(self, made: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """``made``: tokens so far; it never falls."""
        self._made = made
        self._clock = clock
        self._count, self._since = made(), clock()

    def idle(self, at_work: bool) -> float:
        """Seconds without a token, up to now; none count in which it was not ``at_work``."""
        count, now = self._made(), self._clock()
        if count != self._count or not at_work:
            self._count, self._since = count, now
        return now - self._since
