"""Disks without room: one that the test counts, byte for byte, and the system's own refusal."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from raysgpo.output.json_lines import JsonLines

PLENTY = 10**9


class Disk:
    """Has room for so many bytes, of all files that are put on it; a write in which it ends is partly done."""

    def __init__(self, room: int, *files: JsonLines) -> None:
        self.room = room
        self.refuses_cuts = False
        for file in files:
            file._file = _File(file._file, self)  # type: ignore[assignment]


class _File:
    """What the system gives for an open file."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: memoryview) -> int:
        taken = min(len(data), self._disk.room)
        if taken == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._disk.room -= taken
        return int(self._file.write(data[:taken]))

    def truncate(self, size: int) -> int:
        if self._disk.refuses_cuts:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return int(self._file.truncate(size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The system lets no file of this process grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
