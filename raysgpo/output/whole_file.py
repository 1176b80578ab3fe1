"""Files that are there whole or not at all, and the one error of a write that failed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class WriteFailed(OSError):
    """The disk is full, or has failed. What was on it before is as it was.

    ``filename`` is the path; it travels between processes with all it says.
    """

    wanted: int = 0
    """Bytes that there was no room for, as far as they were counted."""

    @classmethod
    def of(cls, error: OSError, path: Path, wanted: int) -> WriteFailed:
        failed = cls(error.errno, error.strerror or str(error), str(path))
        failed.wanted = wanted
        return failed

    def __str__(self) -> str:
        what = f"{self.wanted:,} bytes or more" if self.wanted else "it"
        return f"{self.filename}: {what} could not be written ({self.strerror})"


@contextmanager
def writing(path: Path, wanted: int) -> Iterator[None]:
    """What fails in the block failed to write ``wanted`` bytes to ``path``.

    Raises:
        WriteFailed: in the place of any other OSError.
    """
    try:
        yield
    except WriteFailed:
        raise
    except OSError as error:
        raise WriteFailed.of(error, path, wanted) from error


def write_whole(path: Path, text: str) -> None:
    """The file appears with all of the text or not at all; one that was there stays until then.

    Raises:
        WriteFailed: it could not be written.
    """
    write_parts(path, [text.encode("utf-8")])


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """As ``write_whole``, for a file that need not fit into memory."""
    partial, wanted = path.with_name(f".{path.name}.partial"), 0
    try:
        with partial.open("wb") as file:
            for part in parts:
                wanted += len(part)
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise WriteFailed.of(error, path, wanted) from error
        raise


def sync(path: Path) -> None:
    """What a file holds, or which files a folder has, outlives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
