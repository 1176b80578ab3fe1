"""A run's JSONL files in its object store, where nothing can be appended to: each is a row of parts.

    records/groups.jsonl/0000000000000000     its bytes from there on, as far as the next part
    records/groups.jsonl/0000000000091236     as many as there were at the next checkpoint

One process puts them there: the conductor, or the run while there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from raysgpo.output.run_folder import RunFolder
from raysgpo.stores.object_store import ObjectStore

FOLDER = "records"
Sizes = Mapping[str, int]
"""Bytes of each file, by its name."""


class StoredRecords:
    """Every method may raise StoreFailed."""

    def __init__(self, run: RunFolder) -> None:
        assert run.store is not None, f"{run.path} is kept in no object store"
        self._folder = run.path
        self._store = ObjectStore(run.store)

    def cut(self, sizes: Sizes) -> None:
        """Only parts of these bytes stay: what followed is of a way that was gone back on."""
        for file, parts in self._parts().items():
            whole = _in_row(parts, sizes.get(file, 0))
            self._store.remove(_name(file, first) for first in parts if first not in whole)

    def put(self, sizes: Sizes) -> None:
        """The files as far as these bytes; what is there already is not sent again."""
        there = self._parts()
        for file, size in sizes.items():
            end = _end(_in_row(there.get(file, {}), size))
            if end < size:
                self._store.upload_part(self._folder / file, end, size - end, _name(file, end))

    def has(self, sizes: Sizes) -> bool:
        """Whether all of these bytes are there."""
        there = self._parts()
        return all(_end(_in_row(there.get(file, {}), size)) == size for file, size in sizes.items())

    def fetch(self, folder: Path) -> None:
        """Whole files, as far as the parts go."""
        for file, parts in self._parts().items():
            self._store.download_together([_name(file, first) for first in _in_row(parts)], folder / file)

    def _parts(self) -> dict[str, dict[int, int]]:
        """Of each file the size of its parts, by their first byte."""
        found: dict[str, dict[int, int]] = {}
        for name, size in sorted(self._store.names(FOLDER).items()):
            _, file, first = name.split("/")
            found.setdefault(file, {})[int(first)] = size
        return found


def _in_row(parts: Mapping[int, int], most: int | None = None) -> dict[int, int]:
    """Those that follow on each other from byte 0, and end within the first ``most``."""
    row: dict[int, int] = {}
    while (size := parts.get(end := _end(row))) and (most is None or end + size <= most):
        row[end] = size
    return row


def _end(row: Mapping[int, int]) -> int:
    return sum(row.values())


def _name(file: str, first: int) -> str:
    return f"{FOLDER}/{file}/{first:016d}"
