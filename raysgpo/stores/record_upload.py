"""Records on their way to a run's object store, beside whatever the process that writes them does."""

from __future__ import annotations

import threading
from collections.abc import Callable

from raysgpo.output.run_folder import RunFolder
from raysgpo.stores.object_store import StoreFailed, patiently
from raysgpo.stores.stored_records import Sizes, StoredRecords

PATIENCE = 600.0
"""Seconds for the records of one checkpoint; then they go with the next."""


class RecordUpload:
    """A thread that sends what was asked for last; it does not keep the process from ending."""

    def __init__(self, run: RunFolder, begin: Sizes, say: Callable[[str], None]) -> None:
        """``begin``: bytes of the files as the run begins; what the store has beyond goes."""
        self._records, self._begin, self._say = StoredRecords(run), begin, say
        self._cut = False
        self._wanted: Sizes | None = None
        self._changed = threading.Condition()
        threading.Thread(target=self._send, name="records", daemon=True).start()

    def send(self, sizes: Sizes) -> None:
        """As far as these bytes, soon."""
        with self._changed:
            self._wanted = sizes
            self._changed.notify()

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None)
                sizes, self._wanted = self._wanted, None
            assert sizes is not None, "it was waited for"
            try:
                patiently(lambda sizes=sizes: self._put(sizes), PATIENCE, lambda _: None)  # type: ignore[misc]
            except (StoreFailed, OSError) as error:
                self._say(f"warning: the records could not be sent: {error}; they go with the next checkpoint")

    def _put(self, sizes: Sizes) -> None:
        if not self._cut:
            self._records.cut(self._begin)
            self._cut = True
        self._records.put(sizes)
