"""What a run may be called, and what it is called where only ASCII is.

Its name is a part of its folder's. The tags of Ray's metrics hold ASCII alone: a worker ends over another letter, and
Serve, which tags with the names of applications, never gets one up.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 200
"""Bytes: a folder's name holds 255 on every usual file system, and a number is still to come."""
FORBIDDEN = '/\\:*?"<>|#$'
"""What leads to another folder, or is not read back as it was written, by a shell, by YAML or by Serve."""


def checked_name(name: str) -> str:
    """The name itself. Letters of every script are welcome.

    Raises:
        ValueError: no folder could safely be called so; the message has a name that could.
    """
    if not _begins_well(name) or name != name.strip() or not all(map(_allowed, name)):
        signs = " ".join(FORBIDDEN)
        raise ValueError(
            f"a run's name begins with a letter or digit and has none of {signs}, such as {_nearest(name)}"
        )
    if len(name.encode()) > LONGEST:
        raise ValueError(f"a run's name has at most {LONGEST} bytes, and this one {len(name.encode())}: shorten it")
    return name


def _begins_well(name: str) -> bool:
    return name[:1].isalnum() or name[:1] == "_"


def _allowed(character: str) -> bool:
    """No control character, no half of a pair, no blank but the usual one."""
    return character.isprintable() and character not in FORBIDDEN


def _nearest(name: str) -> str:
    parts = "".join(character if _allowed(character) else " " for character in name).split()
    nearest = "-".join(parts)
    while nearest and not _begins_well(nearest):
        nearest = nearest[1:]
    return nearest or "run"


def plain_name(folder: str) -> str:
    """A run folder's name, if it is plain; else what is left of it, and a hash that keeps it apart from others."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", folder)
    if plain == folder:
        return folder
    return f"{plain.strip('-.+') or 'run'}-{hashlib.sha256(folder.encode(errors='surrogateescape')).hexdigest()[:8]}"
