"""One process at a time works in a run folder, on whichever host of a shared file system.

    .lock-000003    "held" or "free", and by whom; its holder touches it every few seconds

To hold a run is to make the file of the next number, which one process alone can. The file of the highest number
stays, so no two processes ever hold the same one, and a holder that was thought to be dead sees its successor.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from raysgpo.config.overrides import ConfigError
from raysgpo.output.whole_file import writing

TOUCH_SECONDS = 5.0
LEASE_SECONDS = 60.0
"""A holder elsewhere that has not touched its file for so long is gone."""
LOOK_SECONDS = 1.0

_NAME = re.compile(r"\.lock-(\d{6,})")
_HELD, _FREE = b"held", b"free"


class Hold(Protocol):
    """Another right that goes with the folder's."""

    def check(self) -> None:
        """Raises RunTaken if another process has it."""

    def release(self) -> None: ...


class RunTaken(RuntimeError):
    """Another process took this one for dead and works in its run folder now."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that works in a run folder."""

    host: str
    pid: int
    since: str
    machine: str
    """Of all processes that can see it by its pid."""
    began: str
    """Tells it from a later process of the same pid."""

    @classmethod
    def myself(cls) -> Holder:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        return cls(socket.gethostname(), os.getpid(), now, _machine(), _began(os.getpid()))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def gone(self) -> bool | None:
        """None where this process cannot know."""
        if not self.machine or self.machine != _machine():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # of another user
            return False
        return _began(self.pid) != self.began


class RunLock:
    """The right to write into a run folder, kept until ``release`` or the end of the block."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._path: Path | None = None
        self._ended = threading.Event()
        self._taken = False
        self._beside: list[Hold] = []

    def hold(self, folder: Path) -> None:
        """Take the folder, or have it already.

        Raises:
            ConfigError: another process works in it.
            WriteFailed: there is no room for the lock's file.
        """
        if self._path is not None and self._path.parent == folder:
            return
        assert self._path is None, f"{self._path.parent} is held; a process works in one run folder"
        while not self._take(folder):
            pass  # another process was faster: look who
        threading.Thread(target=self._touch, args=[self._path], name="run lock", daemon=True).start()

    def take_along(self, other: Hold) -> None:
        """Checked and released with the folder from now on."""
        self._beside.append(other)

    @property
    def alone(self) -> bool:
        """Whether no other right goes with the folder's."""
        return not self._beside

    def check(self) -> None:
        """Raises RunTaken if another process has taken the folder since."""
        for other in self._beside:
            other.check()
        if self._taken and self._path is not None:
            raise RunTaken(
                f"{self._path.parent}: another process works in this run folder, since this one was silent for "
                f"{LEASE_SECONDS:.0f} s; this one stops"
            )

    def release(self) -> None:
        """Who comes next need not wait; nothing if nothing is held."""
        while self._beside:
            self._beside.pop().release()
        if self._path is None:
            return
        self._ended.set()
        with suppress(OSError), self._path.open("r+b") as file:
            file.write(_FREE)  # in the place of what stands there, so that a full disk is no hindrance
        self._path = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self, folder: Path) -> bool:
        """Whether it is taken now; else another process was faster, and is to be looked at."""
        newest = _newest(folder)
        if newest is not None:
            self._wait_until_free(newest)
        path = folder / f".lock-{_number(newest) + 1:06d}"
        if not _made(path, _HELD + b"\n" + json.dumps(asdict(Holder.myself())).encode() + b"\n"):
            return False
        if _newest(folder) != path:  # others took this number meanwhile, and gave it back, and took the next
            path.unlink(missing_ok=True)
            return False
        for other in _locks(folder):
            if _number(other) < _number(path):
                other.unlink(missing_ok=True)
        self._path = path
        return True

    def _wait_until_free(self, path: Path) -> None:
        """Return once nobody holds it any more; at once where that can be known."""
        touched, until = _touched(path), time.monotonic() + LEASE_SECONDS
        told = False
        while True:
            free, holder = _read(path)
            if free:
                return
            if (holder is not None and holder.gone) or time.monotonic() > until:
                self._say(f"{path.parent}: {holder or 'whoever worked here'} is gone, and this process goes on")
                return
            if (holder is not None and holder.gone is False) or _touched(path) != touched:
                raise ConfigError(
                    f"{path.parent}: {holder or 'another process'} works in this run folder; wait for it, or end it "
                    f"(if there is no such process, remove {path})"
                )
            if not told:
                self._say(
                    f"{path.parent}: is {holder or 'who works here'} still alive? (at most {LEASE_SECONDS:.0f} s)"
                )
                told = True
            time.sleep(LOOK_SECONDS)

    def _touch(self, path: Path) -> None:
        while not self._ended.wait(TOUCH_SECONDS):
            with suppress(OSError):
                self._taken = _newest(path.parent) != path
                os.utime(path)


def _made(path: Path, text: bytes) -> bool:
    """Whether this process made the file; False if it was there.

    Raises:
        WriteFailed: there is no room for it, and no such file.
    """
    with writing(path, len(text)):
        try:
            with path.open("xb") as file:
                file.write(text)
        except FileExistsError:
            return False
        except OSError:
            path.unlink(missing_ok=True)
            raise
    return True


def _read(path: Path) -> tuple[bool, Holder | None]:
    """(whether it is free, who holds it as far as can be read)."""
    try:
        state, _, who = path.read_bytes().partition(b"\n")
        return state == _FREE, Holder(**json.loads(who))
    except FileNotFoundError:  # a successor has removed it
        return True, None
    except (ValueError, TypeError):  # it is being written
        return False, None


def _touched(path: Path) -> int:
    """Read through an open file: what a shared file system says of a closed one may be old."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return 0


def _locks(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if _NAME.fullmatch(entry.name)]


def _newest(folder: Path) -> Path | None:
    return max(_locks(folder), key=_number, default=None)


def _number(path: Path | None) -> int:
    match = None if path is None else _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _machine() -> str:
    """The same for two processes just where each sees the other's pid; empty where that cannot be known."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {namespace}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in ticks since the start of the system; empty for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
