"""How far the scoring is, on the console."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

REPORT_SECONDS = 10.0
"""Between two lines where there is no terminal."""


@contextmanager
def scoring_progress(total: int, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Call what it yields after each row. A bar, or without a terminal a line now and then."""
    if not sys.stderr.isatty():
        yield _lines(total, say)
        return
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        task = bar.add_task("judging", total=total)
        yield lambda: bar.advance(task)


def _lines(total: int, say: Callable[[str], None]) -> Callable[[], None]:
    done, said = 0, time.monotonic()

    def advance() -> None:
        nonlocal done, said
        done += 1
        if time.monotonic() - said >= REPORT_SECONDS:
            said = time.monotonic()
            say(f"judged {done} of {total} rows")

    return advance
