"""The last things before a program runs: another user, and the bounds of its process.

Everything in this folder runs in the sandbox and imports the standard library alone.
"""

from __future__ import annotations

import builtins
import math
import os
import resource
import sys

STARTED = b"s"
"""The first byte of a sandbox that came up."""
STACK = 64 << 20
"""Bytes: deep recursion is a way to write a program."""
DESCRIPTORS = 64


def enter() -> tuple[int, list[int]]:
    """Give up all power. (Bytes of a value at most, the descriptors that are given.)"""
    user, memory, seconds, threads, output, *descriptors = sys.argv[1:]
    if int(user) >= 0:
        os.setgroups([])
        os.setresgid(int(user), int(user), int(user))
        os.setresuid(int(user), int(user), int(user))
    bounds = {
        resource.RLIMIT_CPU: math.ceil(float(seconds)),
        resource.RLIMIT_AS: int(memory),
        resource.RLIMIT_NPROC: int(threads),
        resource.RLIMIT_NOFILE: DESCRIPTORS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 256,
        resource.RLIMIT_STACK: STACK,
    }
    for kind, most in bounds.items():
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
    sys.path.remove("/inside")
    sys.set_int_max_str_digits(0)
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as ``site`` does, which is left out
    return int(output), [int(descriptor) for descriptor in descriptors]


def silence(*streams: int) -> None:
    """Put nothing in the place of these descriptors."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in streams:
        os.dup2(nothing, stream)
    os.close(nothing)


def read_all(descriptor: int) -> bytes:
    """To its end; the descriptor is closed."""
    with open(descriptor, "rb") as stream:
        return stream.read()
