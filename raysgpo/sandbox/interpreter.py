"""Where Python lies on this machine: what of it a program sees."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path, PurePath

SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64")
"""Shared libraries; the last two are links to the first ones on most systems."""

CACHE = "/etc/ld.so.cache"


def executable() -> str:
    """The interpreter itself, and not the link that a virtual environment has in its place."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def mounts() -> list[str]:
    """Arguments of bwrap: the interpreter, its standard library and the system's, to be read; no installed package."""
    bound = [*_libraries(), ("--ro-bind", executable(), executable())]
    if os.path.exists(CACHE):
        bound.append(("--ro-bind", CACHE, CACHE))
    words = [word for _, _, to in bound for word in open_folders(to)]
    words += [word for one in bound for word in one]
    for folder in _installed():
        words += ["--size", "4096", "--tmpfs", folder, "--remount-ro", folder]
    return words


def open_folders(to: str) -> Iterator[str]:
    """Arguments of bwrap for the folders above a mount, which it would make for its own user alone."""
    for folder in reversed(PurePath(to).parents):
        if str(folder) != "/":
            yield from ("--perms", "0755", "--dir", str(folder))


def _libraries() -> Iterator[tuple[str, str, str]]:
    for folder in SYSTEM:
        if os.path.islink(folder):
            yield "--symlink", os.readlink(folder), folder
        elif os.path.isdir(folder):
            yield "--ro-bind", folder, folder
    for name in ("lib", "lib64"):
        folder = os.path.realpath(os.path.join(sys.base_prefix, name))
        if os.path.isdir(folder) and not folder.startswith(("/usr/lib", "/lib")):
            yield "--ro-bind", folder, folder


def _installed() -> Iterator[str]:
    """Folders of packages beside the standard library."""
    standard = Path(os.path.realpath(sysconfig.get_path("stdlib")))
    beside = {standard / "site-packages", standard / "dist-packages", standard.parent / "python3" / "dist-packages"}
    yield from (str(folder) for folder in sorted(beside) if folder.is_dir())
