"""The rows that the console has not shown yet."""

from __future__ import annotations

from collections import deque

from raysgpo.output.metrics import Metrics

MOST = 10_000
"""Of a console that asks no more the oldest rows go; the files have them all."""


class UnseenRows:
    """Kept until the console says how many it has."""

    def __init__(self) -> None:
        self._rows: deque[Metrics] = deque(maxlen=MOST)
        self._added = 0

    def add(self, row: Metrics) -> None:
        self._rows.append(row)
        self._added += 1

    def since(self, seen: int) -> list[Metrics]:
        """Those behind the first ``seen`` of all that were added, which are forgotten."""
        while self._rows and self._added - len(self._rows) < seen:
            self._rows.popleft()
        return list(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
