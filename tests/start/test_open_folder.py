"""A run's folder is opened by one process, with a whole configuration, and nothing that was recorded is erased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from raysgpo.config import Config, OfflineConfig
from raysgpo.config.overrides import ConfigError, dump, load, resolve
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from raysgpo.output.whole_file import WriteFailed
from raysgpo.start.resume import hold_resumed, open_folder, resume_config
from tests.output.checkpoints import write_checkpoint
from tests.output.full_disk import no_file_beyond


@pytest.fixture
def lock() -> Iterator[RunLock]:
    with RunLock(print) as lock:
        yield lock


def stopped(folder: Path, mode: Literal["online", "offline"] = "online") -> tuple[RunFolder, Config]:
    """A run that recorded two steps, and the settings that go on with it."""
    run = RunFolder(folder)
    config = Config(mode=mode, steps=5, resume=str(folder), offline=OfflineConfig(keep="positive"))
    run.config.write_text(dump(config.model_copy(update={"resume": None})))
    for file in (run.metrics, run.groups, run.evaluations, run.answers):
        file.write_text('{"step": 0}\n{"step": 1}\n')
    return run, config


def test_a_new_run_is_held_and_has_its_configuration(tmp_path: Path, lock: RunLock) -> None:
    run = open_folder(Config(storage=str(tmp_path), name="new"), lock, print)
    assert run.path == tmp_path / "runs" / "new-001" and load(run.config)["name"] == "new"
    with pytest.raises(ConfigError, match="works in this run folder"):
        RunLock(print).hold(run.path)


def test_a_run_that_another_process_works_on_is_refused_and_left_alone(tmp_path: Path, lock: RunLock) -> None:
    run, config = stopped(tmp_path)
    lock.hold(run.path)
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    for _ in range(2):
        with pytest.raises(ConfigError, match="works in this run folder"):
            hold_resumed(config, RunLock(print), print)
        with pytest.raises(ConfigError, match="works in this run folder"):
            open_folder(config, RunLock(print), print)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_on_a_full_disk_the_configuration_stays_as_it_was(tmp_path: Path, lock: RunLock) -> None:
    run, config = stopped(tmp_path)
    write_checkpoint(run.checkpoints, 1)
    before, later = run.config.read_text(), config.model_copy(update={"steps": 9})
    with no_file_beyond(1000), pytest.raises(WriteFailed, match=r"config\.yaml: [\d,]+ bytes or more could not be"):
        open_folder(later, lock, print)
    assert run.config.read_text() == before
    open_folder(later, lock, print)
    assert load(run.config)["steps"] == 9


def test_what_was_recorded_without_a_checkpoint_is_set_aside_and_said(tmp_path: Path, lock: RunLock) -> None:
    run, config = stopped(tmp_path)
    said: list[str] = []
    open_folder(config, lock, said.append)
    aside = tmp_path / "records-before-001"
    assert said == [f"the run has no checkpoint to go on from and begins anew; what it recorded before is in {aside}"]
    files = (run.metrics, run.groups, run.evaluations, run.answers)
    assert [(aside / file.name).read_text() for file in files] == ['{"step": 0}\n{"step": 1}\n'] * 4
    assert not any(file.exists() for file in files)


def test_what_a_checkpoint_covers_stays_where_it_is(tmp_path: Path, lock: RunLock) -> None:
    run, config = stopped(tmp_path)
    write_checkpoint(run.checkpoints, 1)
    open_folder(config, lock, pytest.fail)
    assert run.groups.read_text() == '{"step": 0}\n{"step": 1}\n'


def test_a_run_that_was_prepared_and_never_begun_has_nothing_to_set_aside(tmp_path: Path, lock: RunLock) -> None:
    run = RunFolder(tmp_path)
    run.config.write_text(dump(Config()))
    open_folder(Config(resume=str(tmp_path)), lock, pytest.fail)


def test_an_offline_run_keeps_the_evaluation_before_its_training(tmp_path: Path, lock: RunLock) -> None:
    run, config = stopped(tmp_path, "offline")
    run.judged.write_text("{}\n")
    open_folder(config, lock, print)
    assert run.evaluations.exists() and run.answers.exists() and run.judged.exists()
    assert sorted(entry.name for entry in (tmp_path / "records-before-001").iterdir()) == [
        "groups.jsonl",
        "metrics.jsonl",
    ]


def test_code_of_the_users_that_has_changed_since_is_told_and_goes_on(tmp_path: Path, lock: RunLock) -> None:
    file, said = tmp_path / "mine.py", list[str]()
    file.write_text("def f(text): return 1\n")
    words = ["steps=5", f"reward={file}:f", f"storage={tmp_path}"]
    run = open_folder(resolve({}, overrides=words), lock, said.append)
    before = load(run.config)["reward"]["sha256"]
    open_folder(resume_config("run-001", tmp_path, []), lock, said.append)
    assert said == []
    file.write_text("def f(text): return 2\n")
    config = resume_config("run-001", tmp_path, [])
    open_folder(config, lock, said.append)
    now = load(run.config)["reward"]["sha256"]
    assert said == [
        f"reward={file}:f: it has changed since the run was last started (sha256 {before[:12]}, now {now[:12]}); the "
        "run goes on with what it says now"
    ]
