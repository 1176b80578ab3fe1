"""S = 1 on the real stack, stopped by Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from raysgpo import checkpoint
from raysgpo.run_folder import RunFolder, read_rows
from tests.full.conftest import Start

pytestmark = [pytest.mark.full, pytest.mark.timeout(480)]


def test_ctrl_c_ends_a_stale_run_after_its_step_with_a_checkpoint(
    start_train: Start, small: list[str], tmp_path: Path
) -> None:
    words = ["max_staleness=1", "steps=1000", "checkpoint.every=0", "evaluation.every=0", f"storage={tmp_path}"]
    command = start_train(*small, *words)
    run = RunFolder(tmp_path / "runs" / "arithmetic-001")
    command.wait_until(lambda: len(list(read_rows(run.metrics))) >= 4, "four steps")
    command.process.send_signal(signal.SIGINT)
    assert command.wait() == 130, command.text

    metrics = list(read_rows(run.metrics))
    steps = len(metrics)
    assert 4 <= steps < 1000
    folder, messages = checkpoint.newest_complete(run.checkpoints)
    assert (folder.name, messages) == (f"step-{steps:06d}", [])
    lines = command.text.splitlines()
    assert "stopping after this step, with a checkpoint (Ctrl-C again to stop at once)" in lines
    assert lines[-1] == "stopped; go on with: python jobs/train.py resume=arithmetic-001"

    # Step 0 is on-policy; step 1 was admitted together with it, so it is one optimizer step old.
    ages = [group["age"] for group in read_rows(run.groups)]
    assert ages[:8] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert max(ages) == max(row["staleness/max"] for row in metrics) == 1
