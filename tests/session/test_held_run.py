"""A run that another process works on is refused before anything of it is read or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raysgpo import run as online
from raysgpo.config import Config
from raysgpo.config.overrides import dump
from raysgpo.offline import run as offline
from raysgpo.output.exit_status import FAILED, WRONG_SETTING
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from raysgpo.output.whole_file import WriteFailed

COMMANDS: list[Callable[[Config], int]] = [
    lambda config: online.train(config).status,
    lambda config: offline.train_offline(config, None),
]


@pytest.mark.parametrize("command", COMMANDS, ids=["online", "offline"])
def test_a_run_that_is_held_is_refused_with_who_holds_it(
    command: Callable[[Config], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (online, offline):
        monkeypatch.setattr(module, "prepare", pytest.fail)
    run = RunFolder(tmp_path)
    run.config.write_text(dump(Config()))
    with RunLock(print) as lock:
        lock.hold(run.path)
        before = sorted(tmp_path.iterdir())
        assert command(Config(resume=str(tmp_path))) == WRONG_SETTING
    assert sorted(tmp_path.iterdir()) == before
    assert f"error: {tmp_path}: process " in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=["online", "offline"])
def test_a_disk_without_room_ends_a_command_with_one_line_and_gives_the_run_back(
    command: Callable[[Config], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*arguments: object) -> None:
        raise WriteFailed(28, "No space left on device", str(tmp_path / "config.yaml"))

    for module in (online, offline):
        monkeypatch.setattr(module, "prepare", full)
    RunFolder(tmp_path).config.write_text(dump(Config()))
    assert command(Config(resume=str(tmp_path))) == FAILED
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/config.yaml: it could not be written (No space left on device)\n"
    )
    with RunLock(pytest.fail) as lock:
        lock.hold(tmp_path)
