"""One process works in a run folder, and the others are told which."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from raysgpo.config.overrides import ConfigError
from raysgpo.output import run_lock
from raysgpo.output.run_lock import Holder, RunLock, RunTaken
from raysgpo.output.whole_file import WriteFailed
from tests.output.full_disk import no_file_beyond

HOLD = """
import sys, time
from pathlib import Path
from raysgpo.output.run_lock import RunLock
with RunLock(print) as lock:
    lock.hold(Path(sys.argv[1]))
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


def locks(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_second_is_refused_with_who_it_is_and_since_when(tmp_path: Path) -> None:
    with elsewhere(tmp_path) as process, pytest.raises(ConfigError) as caught:
        RunLock(print).hold(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: process {process.pid} on {socket.gethostname()}, since 2")
    assert "wait for it, or end it" in str(caught.value) and str(tmp_path / ".lock-000001") in str(caught.value)


def test_a_process_that_was_killed_is_followed_at_once_with_a_word(tmp_path: Path) -> None:
    with elsewhere(tmp_path) as process:
        process.kill()
        process.wait()
        said: list[str] = []
        with RunLock(said.append) as lock:
            lock.hold(tmp_path)
            assert locks(tmp_path) == [".lock-000002"]
    assert len(said) == 1 and said[0].startswith(f"{tmp_path}: process {process.pid} on ")
    assert said[0].endswith("is gone, and this process goes on")


def test_ctrl_c_gives_the_folder_back(tmp_path: Path) -> None:
    with elsewhere(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        process.wait()
        said: list[str] = []
        with RunLock(said.append) as lock:
            lock.hold(tmp_path)
    assert said == []


def test_a_folder_that_is_held_already_is_held_once(tmp_path: Path) -> None:
    with RunLock(print) as lock:
        lock.hold(tmp_path)
        lock.hold(tmp_path)
        assert locks(tmp_path) == [".lock-000001"]


def test_a_full_disk_is_named_and_leaves_nothing_half_held(tmp_path: Path) -> None:
    with no_file_beyond(10), pytest.raises(WriteFailed, match=r"\.lock-000001: \d+ bytes or more could not be written"):
        RunLock(print).hold(tmp_path)
    assert locks(tmp_path) == []


def test_a_full_disk_does_not_keep_a_folder_from_being_given_back(tmp_path: Path) -> None:
    lock = RunLock(print)
    lock.hold(tmp_path)
    with no_file_beyond(10):
        lock.release()
    assert (tmp_path / ".lock-000001").read_bytes().startswith(b"free\n{")


# --- holders that cannot be asked: on another host, in another container ---


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(run_lock, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(run_lock, "TOUCH_SECONDS", 0.02)


def held_by(folder: Path, holder: Holder, number: int = 1) -> Path:
    path = folder / f".lock-{number:06d}"
    path.write_text(f"held\n{json.dumps(asdict(holder))}\n")
    return path


STRANGER = Holder("far", 1, "2026-01-01 00:00:00+00:00", "another machine", "5")


def test_a_stranger_who_is_silent_for_a_lease_is_gone(tmp_path: Path, soon: None) -> None:
    held_by(tmp_path, STRANGER)
    said: list[str] = []
    with RunLock(said.append) as lock:
        lock.hold(tmp_path)
        assert locks(tmp_path) == [".lock-000002"]
    who = f"{tmp_path}: process 1 on far, since 2026-01-01 00:00:00+00:00"
    assert said[1:] == [f"{who} is gone, and this process goes on"] and "still alive?" in said[0]


def test_a_stranger_who_touches_the_lock_is_alive(tmp_path: Path, soon: None) -> None:
    path, ended = held_by(tmp_path, STRANGER), threading.Event()

    def touch() -> None:
        while not ended.wait(0.02):
            os.utime(path)

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        with pytest.raises(ConfigError, match="process 1 on far, since 2026"):
            RunLock(print).hold(tmp_path)
    finally:
        ended.set()
        thread.join()


def test_a_holder_touches_its_lock(tmp_path: Path, soon: None) -> None:
    with RunLock(print) as lock:
        lock.hold(tmp_path)
        path = tmp_path / ".lock-000001"
        os.utime(path, (0, 0))
        until = time.monotonic() + 60
        while path.stat().st_mtime == 0:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_pid_that_was_given_out_again_is_another_process(tmp_path: Path) -> None:
    myself = Holder.myself()
    assert myself.gone is False
    assert replace(myself, began="1").gone is True
    assert replace(myself, machine="another").gone is None
    assert replace(myself, machine="").gone is None


def test_a_lock_that_was_cut_off_in_writing_is_waited_for_like_a_stranger(tmp_path: Path, soon: None) -> None:
    (tmp_path / ".lock-000041").write_bytes(b"")
    said: list[str] = []
    with RunLock(said.append) as lock:
        lock.hold(tmp_path)
        assert locks(tmp_path) == [".lock-000042"]
    assert said[-1] == f"{tmp_path}: whoever worked here is gone, and this process goes on"


def test_who_was_taken_for_dead_stops_and_leaves_the_lock_of_its_successor(tmp_path: Path, soon: None) -> None:
    lock = RunLock(print)
    lock.hold(tmp_path)
    lock.check()
    held_by(tmp_path, STRANGER, number=2)
    until = time.monotonic() + 60
    with pytest.raises(RunTaken, match="another process works in this run folder"):
        while time.monotonic() < until:
            lock.check()
            time.sleep(0.02)
    lock.release()
    assert (tmp_path / ".lock-000002").read_bytes().startswith(b"held")


def test_of_many_that_come_at_once_one_holds_the_folder(tmp_path: Path) -> None:
    """Each thread stands for a process; those who find it held meet a live process, this one."""
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        held_by(folder, replace(Holder.myself(), began="1"))
        start, won = threading.Barrier(4), list[RunLock]()

        def contend(folder: Path = folder, start: threading.Barrier = start, won: list[RunLock] = won) -> None:
            lock = RunLock(lambda line: None)
            start.wait()
            try:
                lock.hold(folder)
            except ConfigError:
                return
            won.append(lock)

        threads = [threading.Thread(target=contend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1 and len(locks(folder)) == 1
        won[0].release()


def test_a_number_that_was_given_back_is_not_taken_behind_a_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lock 1 is seen, then 2 and 3 come and 1 and 2 go: whoever saw 1 can make 2 again, and must not."""
    holder, real = RunLock(print), run_lock._newest
    held_by(tmp_path, replace(Holder.myself(), began="1"), number=2)
    holder.hold(tmp_path)
    seen = iter([tmp_path / ".lock-000001"])
    monkeypatch.setattr(run_lock, "_newest", lambda folder: next(seen, None) or real(folder))
    with pytest.raises(ConfigError, match="works in this run folder"):
        RunLock(print).hold(tmp_path)
    assert locks(tmp_path) == [".lock-000003"]
    holder.release()


def test_a_folder_that_goes_from_hand_to_hand_is_in_one_at_a_time(tmp_path: Path) -> None:
    working, together, taken = list[int](), list[int](), list[int]()

    def come_and_go() -> None:
        for _ in range(100):
            with RunLock(lambda line: None) as lock:
                try:
                    lock.hold(tmp_path)
                except ConfigError:
                    continue
                working.append(1)
                together.append(len(working))
                taken.append(1)
                working.pop()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(together) == 1 and len(taken) > 4
    assert len(locks(tmp_path)) == 1
