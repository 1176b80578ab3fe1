"""What one program may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one program; what passes one of them is ended, and has failed.

    Files have no bound, since there is no place to write to.
    """

    seconds: float = 10.0
    """By the clock, from the moment that it begins; of CPU time as many, rounded up."""
    memory: int = 1 << 30
    """Bytes of address space of its one process."""
    output: int = 4 << 20
    """Bytes that it may print, and that a value may take on its way to the tests."""
    threads: int = 32
    """At one time, its first one included."""
