"""Processes that die in mid-run: a train worker, then the rollout replica. The run goes on by itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from raysgpo.run_folder import RunFolder, read_rows
from tests.full.conftest import Start

pytestmark = [pytest.mark.full, pytest.mark.timeout(480)]

END = 12
"""Steps of the run."""


def test_a_run_survives_the_death_of_its_worker_and_of_its_replica(
    start_train: Start, small: list[str], tmp_path: Path
) -> None:
    command = start_train(*small, f"steps={END}", "checkpoint.every=2", "evaluation.every=0", f"storage={tmp_path}")
    run = RunFolder(tmp_path / "runs" / "arithmetic-001")

    def steps() -> int:
        return len(list(read_rows(run.metrics)))

    command.wait_until(lambda: steps() >= 3, "three steps")
    [worker] = command.descendants("ray::RayTrainWorker")
    os.kill(worker, signal.SIGKILL)
    before = steps()
    assert before < END - 3, "the run was too fast for this test: raise END"
    command.wait_until(lambda: steps() >= before + 2, "two steps after the worker's death")
    [replica] = command.descendants("ray::ServeReplica")
    os.kill(replica, signal.SIGKILL)
    assert steps() < END, "the run was too fast for this test: raise END"
    assert command.wait() == 0, command.text

    assert [row["step"] for row in read_rows(run.metrics)] == list(range(END))
    assert command.text.count("the train workers were started again and go on after step ") == 1
    assert max(row["time/step"] for row in read_rows(run.metrics)) > 3, "a replica takes longer to come back"
    groups = list(read_rows(run.groups))
    assert [group["position"] for group in groups] == list(range(4 * END))
    assert not [group["error"] for group in groups if group["error"]]
    # The replayed steps publish again, so the versions run ahead of the steps; they never go back.
    versions = [
        version for group in groups for rollout in group["rollouts"] for version, _ in rollout["weight_versions"]
    ]
    assert versions == sorted(versions)
    assert versions[-1] > END
    assert {group["age"] for group in groups} == {0}
