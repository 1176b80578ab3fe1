"""What a run of an object store leaves there at its end, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raysgpo.output.run_folder import RunFolder
from raysgpo.stores.stored_run import StoredRun


@contextmanager
def sending_rest(run: RunFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Within the block the run goes on; nothing where it is kept in a folder alone."""
    try:
        yield
    finally:
        if run.store is not None:
            StoredRun(run, say).send_rest()
