"""What TensorBoard would read, read back from the bytes of its event files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from raysgpo.output.run_folder import RunFolder
from raysgpo.tracking.tensorboard import TensorBoardLog
from tests.output.full_disk import no_file_beyond


def events(run: RunFolder) -> Iterator[Event]:
    """Records are: length (8 bytes), its checksum (4), the event, its checksum (4). One that is cut off ends a file."""
    for file in sorted(run.tensorboard.iterdir()):
        content, at = file.read_bytes(), 0
        while at + 12 <= len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            if at + length + 16 <= len(content):
                yield Event.FromString(content[at + 12 : at + 12 + length])
            at += length + 16


@contextmanager
def writing(run: RunFolder, step: int) -> Iterator[TensorBoardLog]:
    board = TensorBoardLog(run, step, {})
    yield board
    board.close(failed=False)


def test_every_number_is_a_scalar_of_its_step(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with writing(run, 0) as board:
        board.row({"step": 0, "accuracy/mean": 0.25, "judge/rts_mean": None})
        board.row({"step": 1, "accuracy/mean": 0.5})
        board.row({"step": 2, "eval/accuracy": 1.0})
    found = [(event.step, value.tag, value.simple_value) for event in events(run) for value in event.summary.value]
    assert found == [(0, "accuracy/mean", 0.25), (1, "accuracy/mean", 0.5), (2, "eval/accuracy", 1.0)]


@pytest.mark.parametrize("step", [0, 3])
def test_a_resumed_run_hides_what_lies_past_its_checkpoint(tmp_path: Path, step: int) -> None:
    run = RunFolder(tmp_path)
    with writing(run, step):
        pass
    starts = [event.step for event in events(run) if event.session_log.status == event.session_log.START]
    assert starts == [step]


def test_a_full_disk_costs_rows_and_neither_the_run_nor_the_rows_after_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with writing(run, 0) as board:
        board.row({"step": 0, "accuracy/mean": 0.0})
        room = sum(file.stat().st_size for file in run.tensorboard.iterdir()) + 20
        with no_file_beyond(room):
            for step in range(1, 50):
                board.row({"step": step, "accuracy/mean": 0.5, "accuracy/other": 0.5})
        board.row({"step": 50, "accuracy/mean": 1.0})
    steps = [event.step for event in events(run) if event.summary.value]
    assert steps[0] == 0 and steps[-1] == 50
