"""A recorded run trains again to the same losses, without engine and Ray; a changed record does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from raysgpo.output.run_folder import RunFolder
from tests.full.conftest import ROOT, STEPS, Finished, run_to_end

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

REPLAY = str(ROOT / "jobs" / "replay.py")


def test_the_recorded_losses_come_out_again(finished: Finished, tmp_path: Path) -> None:
    status, output = run_to_end(tmp_path, REPLAY, str(finished.run.path))
    assert status == 0, output
    header, *rows, last = output.splitlines()
    assert header.split() == ["step", "loss", "recorded", "difference"]
    assert [int(row.split()[0]) for row in rows] == list(range(STEPS))
    assert last.startswith("largest difference: ") and last.endswith("(within 1e-06)")


def test_a_replay_from_a_checkpoint_shows_a_changed_record(finished: Finished, tmp_path: Path) -> None:
    copy = RunFolder(shutil.copytree(finished.run.path, tmp_path / "run", symlinks=True))
    first = next(row["step"] for row in finished.metrics if row["step"] > 0 and row["groups/trained"])
    rows = finished.groups
    changed = next(row for row in rows if row["step"] == first and row["dropped"] is None)
    changed["rollouts"][0]["advantage"] += 0.5
    copy.groups.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, output = run_to_end(tmp_path, REPLAY, str(copy.path), "--from", str(first))
    assert status == 1, output
    assert [line.split()[0] for line in output.splitlines()[1:-1]] == [str(step) for step in range(first, STEPS)]
    assert output.splitlines()[-1].endswith("(above 1e-06)")
