"""File systems of this process's own, small enough to be filled."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OWN = "RAYSGPO_CHAOS_NAMESPACE"
"""Set in a process whose mounts nobody else sees."""
MEBIBYTE = 2**20
BALLAST = "ballast"


def in_own_namespace() -> bool:
    """Whether mounts of this process are its own. If not, it starts again so that they are, where it may."""
    if os.environ.get(OWN):
        return True
    enter = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if shutil.which("unshare") is None or subprocess.run([*enter, "true"], capture_output=True).returncode:
        return False
    os.environ[OWN] = "1"
    os.execvp(enter[0], [*enter, sys.executable, "-u", "-m", "tests.chaos", *sys.argv[1:]])


class Place:
    """A folder on a small file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """To the last page, at whatever size another process may write at the same time."""
        with contextlib.suppress(OSError), (self.folder / BALLAST).open("ab", buffering=0) as file:
            while True:
                size = MEBIBYTE
                while size:
                    try:
                        file.write(bytes(size))
                        break
                    except OSError as error:
                        if error.errno != errno.ENOSPC or size == 1:
                            raise
                        size //= 2

    def free(self) -> None:
        (self.folder / BALLAST).unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(folder: Path, mebibytes: int) -> Iterator[Place]:
    """A file system of its own at the folder, in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield Place(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
