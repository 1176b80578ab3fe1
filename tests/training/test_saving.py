"""How the ranks save together: the parts that a checkpoint needs of the trainer are the test's."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.output import checkpoint, room
from raysgpo.output.whole_file import WriteFailed
from raysgpo.training import worker as worker_file
from raysgpo.training.worker import TrainWorker


class Conductor:
    """Its handle: remembers what it was told, in order."""

    def __init__(self, happened: list[Any]) -> None:
        self._happened = happened

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Any:
            self._happened.append((name, *arguments))
            return {"step": 3} if name == "checkpoint_state" else None

        return SimpleNamespace(remote=remote)


Ranks = Callable[..., TrainWorker]


@pytest.fixture
def happened() -> list[Any]:
    return []


@pytest.fixture
def rank(tmp_path: Path, happened: list[Any], monkeypatch: pytest.MonkeyPatch) -> Ranks:
    """``rank(number, full)``: a worker; rank 0 finds the disk full ``full`` times."""
    monkeypatch.setattr(worker_file, "result", lambda pending, deadline=60.0: pending)

    def make(number: int, full: int = 0) -> TrainWorker:
        left = [full]

        def write(place: Path) -> None:
            happened.append("write")
            if left[0]:
                left[0] -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            (place / "model").write_text("weights")

        def snapshot() -> SimpleNamespace:
            happened.append("snapshot")
            return SimpleNamespace(write=write)

        worker = TrainWorker.__new__(TrainWorker)
        worker._rank = number
        worker._config = Config()  # type: ignore[assignment]
        worker._job = SimpleNamespace(checkpoints=tmp_path, conductor=Conductor(happened))  # type: ignore[assignment]
        worker._policy = SimpleNamespace(snapshot=snapshot)  # type: ignore[assignment]
        return worker

    return make


def test_rank_0_asks_for_the_records_on_disk_then_writes_then_says_so(
    rank: Ranks, happened: list[Any], tmp_path: Path
) -> None:
    rank(0)._save(3)
    assert happened == ["snapshot", ("checkpoint_state", 3), "write", ("checkpointed", 3)]
    assert checkpoint.newest_complete(tmp_path) == (tmp_path / "step-000003", [])


def test_another_rank_gives_its_part_and_waits_with_the_conductor(rank: Ranks, happened: list[Any]) -> None:
    rank(1)._save(3)
    assert happened == ["snapshot", ("saved", 3)]


def test_a_checkpoint_waits_for_room_and_says_so_once(
    rank: Ranks, happened: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: happened.append(seconds))
    rank(0, full=2)._save(3)
    said = happened[3][1]
    assert said.startswith(f"{tmp_path}/step-000003: it could not be written (No space left on device); the run waits")
    assert happened[2:] == [
        "write", ("say", said), room.RETRY_SECONDS, "write", room.RETRY_SECONDS, "write", ("checkpointed", 3),
    ]  # fmt: skip
    assert checkpoint.newest_complete(tmp_path)[0] == tmp_path / "step-000003"


def test_a_checkpoint_that_waited_in_vain_ends_the_run(
    rank: Ranks, happened: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(WriteFailed) as caught:
        rank(0, full=1)._save(3)
    assert happened[3:] == [("unwritten", caught.value)]
    assert list(tmp_path.iterdir()) == []
