"""Where a resumed run begins, by what its folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.groups.prepared import StartState
from raysgpo.output import checkpoint
from raysgpo.start.resume import start_state
from tests.output.checkpoints import write_checkpoint

STATE = {"step": 3, "position": 96, "version": 4, "solved": ["a"], "controllers": {}, "sizes": {"metrics.jsonl": 12}}


def test_a_run_that_never_wrote_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    assert start_state(Config(resume=str(tmp_path)), print) == StartState()
    checkpoint.begin(tmp_path / "checkpoints", 2)  # one that was being written
    assert start_state(Config(resume=str(tmp_path)), print) == StartState()


def test_the_newest_complete_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoints", 3, state=STATE)
    start = start_state(Config(resume=str(tmp_path)), print)
    assert (start.step, start.position, start.version, start.solved) == (3, 96, 4, ("a",))
    assert start.sizes == {"metrics.jsonl": 12}


def test_a_checkpoint_without_sizes_is_gone_on_from_by_reading_the_records(tmp_path: Path) -> None:
    state = {name: value for name, value in STATE.items() if name != "sizes"}
    write_checkpoint(tmp_path / "checkpoints", 3, state=state)
    assert start_state(Config(resume=str(tmp_path)), print).sizes == {}


def test_checkpoints_that_are_all_corrupt_are_an_error_and_no_new_beginning(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoints", 3, state=STATE)
    (folder / checkpoint.STATE).write_text("{}")
    with pytest.raises(ConfigError, match="no complete checkpoint"):
        start_state(Config(resume=str(tmp_path)), print)
