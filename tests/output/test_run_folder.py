"""The run folder: numbers, names, and JSONL files that survive a crash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raysgpo.output.run_folder import RunFolder


def test_runs_are_numbered_after_the_highest_of_their_name(tmp_path: Path) -> None:
    for taken in ("a-001", "a-007", "a-x", "ab-009", "a-b-011"):
        (tmp_path / "runs" / taken).mkdir(parents=True)
    made = [RunFolder.create(tmp_path, name).path.name for name in ("a", "a", "b", "a-b")]
    assert made == ["a-008", "a-009", "b-001", "a-b-012"]


def test_runs_that_start_together_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = list(threads.map(lambda _: RunFolder.create(tmp_path, "run").path, range(40)))
    assert len(set(folders)) == 40 and all(folder.is_dir() for folder in folders)


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "run")
    run.config.write_text("seed: 1\n")
    assert RunFolder.existing("run-001", tmp_path) == run == RunFolder.existing(str(run.path), Path("/nowhere"))


def test_a_folder_without_a_run_is_refused_with_the_runs_there_are(tmp_path: Path) -> None:
    for _ in range(2):
        RunFolder.create(tmp_path, "run")
    (tmp_path / "runs" / "run-002" / "config.yaml").touch()
    with pytest.raises(ValueError, match=r"run-001: no run there .*: run-002$"):
        RunFolder.existing("run-001", tmp_path)
    with pytest.raises(ValueError, match="holds no runs"):
        RunFolder.existing("run-001", tmp_path / "empty")


def test_records_are_set_aside_each_time_into_a_folder_of_their_own(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for number in (1, 2):
        run.metrics.write_text(f"{number}\n")
        run.groups.touch()
        aside = run.set_aside([run.metrics, run.groups, run.answers])
        assert aside == tmp_path / f"records-before-{number:03d}"
        assert [(entry.name, entry.read_text()) for entry in aside.iterdir()] == [("metrics.jsonl", f"{number}\n")]
    assert run.set_aside([run.metrics, run.groups]) is None
