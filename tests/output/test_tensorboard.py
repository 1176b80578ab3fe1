"""What TensorBoard would read, read back from the bytes of its event files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from raysgpo.output.run_folder import RunFolder
from raysgpo.output.tensorboard import TensorBoardLog


def events(run: RunFolder) -> Iterator[Event]:
    """Records are: length (8 bytes), its checksum (4), the event, its checksum (4)."""
    for file in sorted(run.tensorboard.iterdir()):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            yield Event.FromString(content[at + 12 : at + 12 + length])
            at += length + 16


def test_every_number_is_a_scalar_of_its_step(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with TensorBoardLog(run, 0) as board:
        board.row({"step": 0, "accuracy/mean": 0.25, "judge/rts_mean": None})
        board.row({"step": 1, "accuracy/mean": 0.5})
        board.row({"step": 2, "eval/accuracy": 1.0})
    found = [(event.step, value.tag, value.simple_value) for event in events(run) for value in event.summary.value]
    assert found == [(0, "accuracy/mean", 0.25), (1, "accuracy/mean", 0.5), (2, "eval/accuracy", 1.0)]


@pytest.mark.parametrize("step", [0, 3])
def test_a_resumed_run_hides_what_lies_past_its_checkpoint(tmp_path: Path, step: int) -> None:
    run = RunFolder(tmp_path)
    with TensorBoardLog(run, step):
        pass
    starts = [event.step for event in events(run) if event.session_log.status == event.session_log.START]
    assert starts == [step]
