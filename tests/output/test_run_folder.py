"""The run folder: numbers, names, and JSONL files that survive a crash."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raysgpo.output.run_folder import JsonLines, RunFolder, cut_rows, read_rows


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


def write(path: Path, rows: list[dict[str, object]]) -> None:
    lines = JsonLines(path)
    for row in rows:
        lines.write(row)
    lines.close()


def test_rows_come_back_as_they_were_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[dict[str, object]] = [{"step": 0, "text": "Ω\n\u2028"}, {"step": 1, "value": 0.1 + 0.2, "none": None}]
    write(path, rows[:1])
    write(path, rows[1:])
    assert list(read_rows(path)) == rows
    assert "Ω" in path.read_text(encoding="utf-8")


def test_a_row_is_on_disk_before_the_next_one_is_written(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "rows.jsonl")
    lines.write({"step": 0})
    assert list(read_rows(tmp_path / "rows.jsonl")) == [{"step": 0}]
    lines.close()


def test_what_json_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write(tmp_path / "rows.jsonl", [{"step": float("nan")}])
    assert (tmp_path / "rows.jsonl").read_text() == ""


def test_a_last_line_cut_off_by_a_crash_is_left_out_and_goes_with_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": 0}, {"step": 1}])
    with path.open("a") as file:
        file.write('{"step": 2, "te')
    assert [row["step"] for row in read_rows(path)] == [0, 1]
    cut_rows(path, 9)
    write(path, [{"step": 2}])
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]


def test_the_cut_keeps_the_steps_before_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": step, "n": n} for step in range(3) for n in range(2)])
    cut_rows(path, 2)
    assert [row["step"] for row in read_rows(path)] == [0, 0, 1, 1]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["rows.jsonl"]


def test_cutting_nothing_makes_an_empty_file(tmp_path: Path) -> None:
    cut_rows(tmp_path / "rows.jsonl", 0)
    assert list(read_rows(tmp_path / "rows.jsonl")) == []
