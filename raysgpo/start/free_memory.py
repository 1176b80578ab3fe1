"""The memory of this machine that nobody uses."""

from __future__ import annotations

from pathlib import Path

import psutil

CONTAINER = Path("/sys/fs/cgroup")
"""What the system says of the container that this process runs in."""


def free_memory() -> int:
    """Bytes that processes may still take: of the machine, or of the container where that is less."""
    free = int(psutil.virtual_memory().available)
    return free if (room := _container_room()) is None else min(free, room)


def _container_room() -> int | None:
    """Bytes up to the container's limit, files that are only cached not counted; None without a limit."""
    try:
        limit = (CONTAINER / "memory.max").read_text().strip()
        used = int((CONTAINER / "memory.current").read_text())
        detail = dict(line.split() for line in (CONTAINER / "memory.stat").read_text().splitlines())
        return None if limit == "max" else max(int(limit) - used + int(detail["inactive_file"]), 0)
    except (OSError, ValueError, KeyError):  # another system, or another version of its files
        return None
