"""Files of one JSON object a line: written whole row by whole row, read past what is none, cut in place."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from raysgpo.output.whole_file import write_parts, writing

Row = dict[str, Any]

_STEP = re.compile(rb'\{"step": (\d+)[,}]')
"""How a row of a run's records begins: its step is known without reading all of it."""
_BLOCK = 1 << 16
_log = logging.getLogger(__name__)


class JsonLines:
    """An append-only file, for one writer at a time. Rows are on it whole or not at all."""

    def __init__(self, path: Path) -> None:
        """A last line that a crash cut off goes.

        Raises:
            WriteFailed: the file cannot be made.
        """
        self.path = path
        with writing(path, 0):
            self._file = path.open("ab", buffering=0)
            self._owed = False
            self.size = _line_start(path, self._file.tell())
            """Bytes of all rows."""
            self.cut(self.size)

    def write(self, row: Row) -> None:
        """Append a row.

        Raises:
            WriteFailed: there was no room for it; the file is as it was before.
            ValueError: JSON cannot say it.
        """
        write_together([(self, [row])])

    def append(self, line: bytes) -> None:
        """Append to the end of the last row; what fails in the middle is there until ``cut``."""
        if self._owed:
            self._file.truncate(self.size)
            self._owed = False
        rest = memoryview(line)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += len(line)

    def cut(self, size: int) -> None:
        """Only the first ``size`` bytes stay; where that fails too, the next write makes up for it."""
        self.size = size
        try:
            self._file.truncate(size)
        except OSError:
            self._owed = True

    def to_disk(self) -> None:
        """The rows outlive a loss of power.

        Raises:
            WriteFailed: they may not.
        """
        with writing(self.path, self.size):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def write_together(parts: Iterable[tuple[JsonLines, Iterable[Row]]]) -> None:
    """Append rows to several files, in this order: all of them, or none.

    Raises:
        WriteFailed: there was no room for all; each file is as it was before.
        ValueError: JSON cannot say one of them; likewise.
    """
    before: list[tuple[JsonLines, int]] = []
    wanted = 0
    try:
        for file, rows in parts:
            before.append((file, file.size))
            for row in rows:
                line = _line(row)
                wanted += len(line)
                with writing(file.path, wanted):
                    file.append(line)
    except BaseException:
        for file, size in before:
            file.cut(size)
        raise


def _line(row: Row) -> bytes:
    try:
        return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair, which only its escape can say
        return (json.dumps(row, allow_nan=False) + "\n").encode("ascii")


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file. A last line that was cut off by a crash is left out; any other line that is no row is
    told once, by file and number, and left out too."""
    return (row for _, _, row in placed_rows(path))


def placed_rows(path: Path) -> Iterator[tuple[int, int, Row]]:
    """(first byte, number of bytes, row) of each row; see ``read_rows``."""
    if not path.exists():
        return
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield start, len(line), _row(line)
            except ValueError as error:
                _tell(path, number, str(error))
            start += len(line)


def _row(line: bytes) -> Row:
    """Raises ValueError for what is no JSON object."""
    row = json.loads(line.decode("utf-8"))
    if not isinstance(row, dict):
        raise ValueError(f"it is no JSON object but {type(row).__name__}")
    return row


@cache  # once a process for each line
def _tell(path: Path, number: int, reason: str) -> None:
    _log.warning("%s, line %d: no row, so it is left out: %s", path, number, reason)


def cut_rows(path: Path, step: int, size: int | None = None) -> None:
    """Keep only the rows of steps before ``step``, in place: a resumed run writes the others again.

    Rows stand in the order of their steps. ``size``: their bytes as a checkpoint knew them; where the file agrees,
    nothing else of it is read.

    Raises:
        WriteFailed: the file cannot be cut.
    """
    with writing(path, 0), path.open("ab") as file:
        if size is None or not _parts_steps(path, step, size):
            size = _bytes_before(path, step)
        file.truncate(size)


def _parts_steps(path: Path, step: int, size: int) -> bool:
    """Whether what stands before byte ``size`` is of steps before ``step``, and what follows is not."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < size or _line_start(path, size) != size:
            return False
        before = _step_at(file, _line_start(path, size - 1)) if size else None
        after = _step_at(file, size)
    return (before is None or before < step) and (after is None or after >= step)


def _step_at(file: BinaryIO, start: int) -> int | None:
    file.seek(start)
    return _step(file.readline())


def _step(line: bytes) -> int | None:
    """The step of a row; None for a line that is none."""
    if (found := _STEP.match(line)) is not None:
        return int(found[1])
    try:
        return int(_row(line)["step"])
    except (ValueError, KeyError, TypeError):
        return None


def _bytes_before(path: Path, step: int) -> int:
    """Bytes up to the end of the last row before ``step``."""
    kept = end = 0
    with path.open("rb") as file:
        for line in file:
            found = _step(line)
            if not line.endswith(b"\n") or (found is not None and found >= step):
                break
            end += len(line)
            kept = kept if found is None else end
    return kept


def _line_start(path: Path, end: int) -> int:
    """Where the line that reaches to byte ``end`` begins: ``end`` itself where a line ends there."""
    with path.open("rb") as file:
        at = end
        while at > 0:
            first = max(0, at - _BLOCK)
            file.seek(first)
            newline = file.read(at - first).rfind(b"\n")
            if newline >= 0:
                return first + newline + 1
            at = first
    return 0


def replace_rows(path: Path, rows: Iterable[Row]) -> None:
    """The file with these rows alone: the old ones are there until all of the new ones are.

    Raises:
        WriteFailed: the old ones stay.
    """
    write_parts(path, map(_line, rows))


def copy_lines(source: Path, places: Sequence[tuple[int, int]], path: Path) -> None:
    """A file of the lines at these places (first byte, bytes) of another, in this order; one in memory at a time.

    Raises:
        WriteFailed: it is not there.
    """
    with source.open("rb") as file:
        write_parts(path, (_read_at(file, *place) for place in places))


def _read_at(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
