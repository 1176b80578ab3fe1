"""A run that starts again from its last checkpoint by itself, a bounded number of times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.groups.prepared import StartState
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunTaken
from raysgpo.output.whole_file import WriteFailed
from raysgpo.session.interrupts import Interrupts
from raysgpo.start.resume import start_state
from raysgpo.training.thread import root_cause

WINDOW = 3600.0
"""Seconds in which ``max_restarts`` are counted."""


NOT_HEALED = (ConfigError, WriteFailed, RunTaken)
"""Wrong settings, a full disk, a folder that another process works in: only a person changes these."""


class Healing:
    """Attempts at a run, each from where the one before it left off::

        for start in healing:
            with healing:
                ...  # what may fail

    The conductor, the weight store and Ray Train's controller have nobody else who would start them again. The
    same failure after the same step is not tried a second time: it would only come again.
    """

    def __init__(
        self, config: Config, run: RunFolder, start: StartState, interrupts: Interrupts, say: Callable[[str], None]
    ) -> None:
        self._config = config.model_copy(update={"resume": str(run.path)})
        self._run = run
        self._start = start
        self._interrupts = interrupts
        self._say = say
        self._times: list[float] = []
        self._last: tuple[str, int] | None = None
        self._over = False

    def __iter__(self) -> Iterator[StartState]:
        while not self._over:
            yield self._start

    def __enter__(self) -> None:
        self._over = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, NOT_HEALED) or self._interrupts.count:
            return False
        cause, start = root_cause(error), start_state(self._config, self._say)
        if not self._allows(cause):
            return False
        self._say(
            f"{cause}; starting again after step {start.step} by itself ({len(self._times)} of "
            f"max_restarts={self._config.max_restarts} within an hour)"
        )
        self._start, self._over = start, False
        return True

    def _allows(self, cause: str) -> bool:
        now, recorded = time.monotonic(), sum(1 for _ in read_rows(self._run.metrics))
        self._times = [then for then in self._times if now - then < WINDOW]
        again, self._last = (cause, recorded) == self._last, (cause, recorded)
        if again or len(self._times) >= self._config.max_restarts:
            return False
        self._times.append(now)
        return True
