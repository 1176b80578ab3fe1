"""Files that are there whole or not at all."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysgpo.output.whole_file import WriteFailed, write_parts, write_whole, writing
from tests.output.full_disk import no_file_beyond

NEW = "new: 1\n" * 5


@pytest.mark.parametrize("before", [None, "", "old: 1\n"])
def test_a_file_that_there_is_no_room_for_stays_what_it_was_at_any_byte(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "config.yaml"
    if before is not None:
        path.write_text(before)
    for room in range(len(NEW)):
        with no_file_beyond(room), pytest.raises(WriteFailed, match=r"config\.yaml: 35 bytes or more could not be"):
            write_whole(path, NEW)
        assert (path.read_text() if path.exists() else None) == before
        assert {entry.name for entry in tmp_path.iterdir()} <= {"config.yaml"}
    with no_file_beyond(len(NEW)):
        write_whole(path, NEW)
    assert path.read_text() == NEW
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.yaml"]


def test_parts_that_cannot_be_made_leave_nothing_behind(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("no other part")

    with pytest.raises(LookupError):
        write_parts(tmp_path / "file", parts())
    assert list(tmp_path.iterdir()) == []


def test_the_error_says_path_bytes_and_reason_in_every_process() -> None:
    with pytest.raises(WriteFailed) as caught, writing(Path("/run/groups.jsonl"), 12345):
        raise OSError(28, "No space left on device")
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert str(error) == "/run/groups.jsonl: 12,345 bytes or more could not be written (No space left on device)"
        assert (error.filename, error.wanted, error.errno) == ("/run/groups.jsonl", 12345, 28)


def test_what_failed_within_is_named_and_not_what_is_around_it() -> None:
    with pytest.raises(WriteFailed, match="/inner: 5 bytes"), writing(Path("/outer"), 9), writing(Path("/inner"), 5):
        raise OSError(28, "No space left on device")
