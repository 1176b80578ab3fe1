"""What the main thread sees while a run is under way."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysgpo.conductor.messages import Status
from raysgpo.config import Config
from raysgpo.output.console import Console
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock, RunTaken
from raysgpo.output.whole_file import WriteFailed
from raysgpo.session import watching
from raysgpo.session.interrupts import Interrupts
from raysgpo.session.watching import watch
from raysgpo.tracking.trackers import Trackers

FULL = WriteFailed(errno.ENOSPC, "No space left on device", "/run/groups.jsonl")


def watched(folder: Path, status: Status, lock: RunLock, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the console shows of a run whose trainer never ends by itself."""
    monkeypatch.setattr(watching, "result", lambda pending: pending)
    parts: Any = SimpleNamespace(
        check=lambda: None,
        conductor=SimpleNamespace(status=SimpleNamespace(remote=lambda seen: status)),
        trainer=SimpleNamespace(running=True),
        end_judging=None,
    )
    out = io.StringIO()
    with Trackers(Config(), RunFolder(folder), 0, print) as trackers:
        try:
            watch(parts, Console(4, 0, out), trackers, Interrupts(print), lock)
        except (WriteFailed, RunTaken) as error:
            out.write(f"raised: {error}\n")
    return out.getvalue()


def test_a_run_that_has_no_room_ends_with_what_was_said_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = Status([], ["the run waits for room"], "training", False, FULL)
    assert watched(tmp_path, status, RunLock(print), monkeypatch).splitlines() == [
        "the run waits for room",
        "raised: /run/groups.jsonl: it could not be written (No space left on device)",
    ]


def test_a_run_whose_folder_another_process_took_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RunLock(print)
    lock._path, lock._taken = tmp_path / ".lock-000001", True
    shown = watched(tmp_path, Status([], [], "training", False), lock, monkeypatch)
    assert shown.startswith(f"raised: {tmp_path}: another process works in this run folder")


def test_a_stream_that_failed_ends_the_attempt_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train workers that start again would ask for the same step, and be told the same, without end."""
    status = Status([], [], "sampling", False, no_groups="the stream of groups failed: its node is gone")
    with pytest.raises(RuntimeError, match="its node is gone"):
        watched(tmp_path, status, RunLock(print), monkeypatch)
