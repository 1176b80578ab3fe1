"""JSONL files that survive a crash, a full disk and a bad line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.output import json_lines
from raysgpo.output.json_lines import JsonLines, copy_lines, cut_rows, placed_rows, read_rows, write_together
from raysgpo.output.whole_file import WriteFailed
from tests.output.full_disk import PLENTY, Disk, no_file_beyond

Rows = list[dict[str, Any]]


def write(path: Path, rows: Rows) -> None:
    lines = JsonLines(path)
    for row in rows:
        lines.write(row)
    lines.close()


def test_rows_come_back_as_they_were_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: Rows = [{"step": 0, "text": "Ω\n\u2028"}, {"step": 1, "value": 0.1 + 0.2, "none": None}]
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


def test_half_a_surrogate_pair_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: Rows = [{"text": "Ω \ud83d"}, {"text": "Ω"}]
    write(path, rows)
    assert list(read_rows(path)) == rows


def test_a_last_line_cut_off_by_a_crash_is_left_out_and_goes_with_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": 0}, {"step": 1}])
    with path.open("a") as file:
        file.write('{"step": 2, "te')
    assert [row["step"] for row in read_rows(path)] == [0, 1]
    cut_rows(path, 9)
    write(path, [{"step": 2}])
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]


@pytest.mark.parametrize("whole", [b"", b'{"step": 0}\n', b'{"step": 0}\n' * 9000])
@pytest.mark.parametrize("torn", [b"{", b'{"step": 1, "text": "' + b"x" * 70_000])
def test_whoever_appends_takes_a_line_that_was_cut_off_away(tmp_path: Path, whole: bytes, torn: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(whole + torn)
    write(path, [{"step": 1}])
    assert path.read_bytes() == whole + b'{"step": 1}\n'


# --- no room ---

SOME = st.lists(st.fixed_dictionaries({"step": st.integers(0, 9), "text": st.text(max_size=8)}), max_size=3)


@given(groups=SOME, metrics=SOME, room=st.integers(0, 300))
def test_rows_that_belong_together_are_all_there_or_none_wherever_the_disk_is_full(
    groups: Rows, metrics: Rows, room: int
) -> None:
    with TemporaryDirectory() as folder:
        files = [JsonLines(Path(folder) / name) for name in ("groups", "metrics")]
        disk = Disk(PLENTY, *files)
        for file in files:
            file.write({"before": True})
        before = [file.path.read_bytes() for file in files]
        disk.room = room
        try:
            write_together([(files[0], groups), (files[1], metrics)])
        except WriteFailed as error:
            assert [file.path.read_bytes() for file in files] == before
            assert room < error.wanted and error.filename in {str(file.path) for file in files}
            disk.room = PLENTY
            write_together([(files[0], groups), (files[1], metrics)])
        for file, rows in zip(files, (groups, metrics), strict=True):
            assert list(read_rows(file.path)) == [{"before": True}, *rows]
            assert file.size == file.path.stat().st_size
            file.close()


def test_a_write_that_the_system_refuses_at_any_byte_is_taken_back(tmp_path: Path) -> None:
    """As ``ulimit -f`` does it: the write ends in the middle of the row."""
    lines = JsonLines(tmp_path / "rows.jsonl")
    lines.write({"step": 0})
    before, row = lines.size, {"step": 1, "text": "Ω" * 20}
    whole = len(json.dumps(row, ensure_ascii=False).encode()) + 1
    for room in range(whole):
        with no_file_beyond(before + room), pytest.raises(WriteFailed, match=rf"\.jsonl: {whole} bytes or more could"):
            lines.write(row)
        assert lines.path.stat().st_size == before
    with no_file_beyond(before + whole):
        lines.write(row)
    assert list(read_rows(lines.path)) == [{"step": 0}, row]
    lines.close()


def test_a_row_that_cannot_be_said_takes_those_before_it_back(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "rows.jsonl")
    with pytest.raises(ValueError):
        write_together([(lines, [{"step": 0}, {"step": float("inf")}])])
    assert lines.path.read_bytes() == b""
    lines.close()


def test_what_could_not_be_taken_back_goes_before_the_next_row(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "rows.jsonl")
    disk = Disk(PLENTY, lines)
    lines.write({"step": 0})
    disk.room, disk.refuses_cuts = 5, True
    with pytest.raises(WriteFailed):
        lines.write({"step": 1})
    assert [row["step"] for row in read_rows(lines.path)] == [0]
    disk.room = PLENTY
    with pytest.raises(WriteFailed):
        lines.write({"step": 1})
    disk.refuses_cuts = False
    lines.write({"step": 1})
    assert lines.path.read_bytes() == b'{"step": 0}\n{"step": 1}\n'
    lines.close()


# --- bad lines ---

BAD = [
    b'{"step": 1, "te{"step": 2}',
    b"",
    b"\0\0\0",
    b"\xff\xfe",
    b"7",
    b"null",
    b"[1]",
    b'{"n": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("bad", BAD)
def test_a_line_that_is_no_row_is_left_out_and_told_once(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 0}\n' + bad + b'\n{"step": 3}\n')
    for _ in range(2):
        assert [row["step"] for row in read_rows(path)] == [0, 3]
    [record] = caplog.records
    assert record.getMessage().startswith(f"{path}, line 2: no row, so it is left out: ")


def test_a_last_line_that_was_cut_off_is_told_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"step": 0}\n{"st')
    assert len(list(read_rows(tmp_path / "rows.jsonl"))) == 1 and not caplog.records


# --- cutting ---


def test_the_cut_keeps_the_steps_before_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": step, "n": n} for step in range(3) for n in range(2)])
    cut_rows(path, 2)
    assert [row["step"] for row in read_rows(path)] == [0, 0, 1, 1]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["rows.jsonl"]


def test_cutting_nothing_makes_an_empty_file(tmp_path: Path) -> None:
    cut_rows(tmp_path / "rows.jsonl", 0)
    assert list(read_rows(tmp_path / "rows.jsonl")) == []
    assert (tmp_path / "rows.jsonl").exists()


def test_the_cut_is_made_in_place_and_needs_no_room(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": step, "text": "x" * 100} for step in range(9)])
    number = path.stat().st_ino
    with no_file_beyond(1):
        cut_rows(path, 4)
    assert path.stat().st_ino == number
    assert [row["step"] for row in read_rows(path)] == [0, 1, 2, 3]


def test_a_size_that_a_checkpoint_knew_is_taken_without_reading_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": step} for step in range(2)])
    size = path.stat().st_size
    write(path, [{"step": step} for step in (2, 2, 3)])

    def scan(*arguments: Any) -> int:
        raise AssertionError("the file was read through")

    monkeypatch.setattr(json_lines, "_bytes_before", scan)
    cut_rows(path, 2, size)
    assert [row["step"] for row in read_rows(path)] == [0, 1]
    cut_rows(path, 2, size)
    cut_rows(path, 0, 0)
    assert path.read_bytes() == b""


@given(sizes=st.integers(0, 200), step=st.integers(0, 5), torn=st.booleans())
def test_a_size_that_is_not_the_files_changes_nothing_of_what_is_kept(sizes: int, step: int, torn: bool) -> None:
    """Someone took a line out, or put one in: what is cut is what the steps say."""
    rows: Rows = [{"step": n // 2, "text": "x" * n} for n in range(8)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write(path, rows)
        if torn:
            path.write_bytes(path.read_bytes() + b'{"step": 4, "te')
        cut_rows(path, step, sizes)
        assert list(read_rows(path)) == [row for row in rows if row["step"] < step]


@pytest.mark.parametrize("step", [2, 3])
def test_a_bad_line_stands_in_the_way_of_no_cut(tmp_path: Path, step: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 0}\n{"ste\n{"n": 1, "step": 1}\n\xff\n{"step": 2}\n{"step": 3}\n{"step": 4')
    cut_rows(path, step)
    assert [row["step"] for row in read_rows(path)] == list(range(step))


def test_lines_are_copied_in_another_order_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": 2, "text": "Ω"}, {"step": 0}, {"step": 1}])
    places = {row["step"]: (start, size) for start, size, row in placed_rows(path)}
    copy_lines(path, [places[step] for step in range(3)], tmp_path / "ordered.jsonl")
    assert (tmp_path / "ordered.jsonl").read_text(encoding="utf-8") == (
        '{"step": 0}\n{"step": 1}\n{"step": 2, "text": "Ω"}\n'
    )


def test_rows_are_brought_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, synced = JsonLines(tmp_path / "rows.jsonl"), list[int]()
    lines.write({"step": 0})
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    lines.to_disk()
    assert synced == [12]

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(WriteFailed, match=r"rows\.jsonl: 12 bytes or more could not be written \(Input/output error\)"):
        lines.to_disk()
    lines.close()
