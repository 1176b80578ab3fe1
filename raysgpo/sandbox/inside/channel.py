"""Messages over a descriptor: the length in four bytes, and so many."""

from __future__ import annotations

import os


class Ended(Exception):
    """The other side is gone, or says what is no message."""


def send(descriptor: int, message: bytes) -> None:
    left = memoryview(len(message).to_bytes(4, "big") + message)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError as error:
        raise Ended from error


def receive(descriptor: int, most: int) -> bytes:
    """Raises Ended; a message of more than ``most`` bytes is none."""
    length = int.from_bytes(_exactly(descriptor, 4), "big")
    if length > most:
        raise Ended(f"a message of {length} bytes")
    return _exactly(descriptor, length)


def _exactly(descriptor: int, count: int) -> bytes:
    parts = []
    while count:
        try:
            part = os.read(descriptor, min(count, 1 << 20))
        except OSError as error:
            raise Ended from error
        if not part:
            raise Ended("the other side is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
