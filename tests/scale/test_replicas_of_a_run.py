"""A real run whose rollout replicas go from one to two and back: no group is lost, doubled or too old."""

from __future__ import annotations

import contextlib
import re
import signal

import psutil
import pytest

from raysgpo.output.run_folder import RunFolder
from tests.full.conftest import ROOT, Command, Finished, start_command
from tests.group_audit import faults

pytestmark = [pytest.mark.scale, pytest.mark.timeout(1800)]

P, S = 8, 0
SETTINGS = f"""arithmetic judge=rule task.terms=[3,4,5] task.prompts=640 prompts_per_step={P} sampling.group_size=8
max_staleness={S} optimizer.updates_per_step=8 steps=1000 checkpoint.every=0 name=elastic
rollout.replicas=[1,2] rollout.cpus=0.4 rollout.upscale_delay=1 rollout.downscale_delay=5
rollout.engine_process=true""".split()
HELD_OUT = ["evaluation.prompts=4000", "evaluation.every=1000"]
"""The evaluation before the first step keeps 256 answers under way, which calls for the second replica; then eight
updates a step leave the replicas idle for most of the time."""


@pytest.fixture(scope="module")
def elastic(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Ended by Ctrl-C once the second replica has come and gone."""
    storage = tmp_path_factory.mktemp("elastic")
    words = [*SETTINGS, *HELD_OUT, f"storage={storage}"]
    command = start_command(storage / "elsewhere", str(ROOT / "jobs" / "train.py"), *words)
    run = RunFolder(storage / "runs" / "elastic-001")
    try:
        command.wait_until(lambda: "rollout replicas: 1 -> 2" in command.text, "second replica")
        assert engines(command) == 2
        command.wait_until(lambda: "rollout replicas: 2 -> 1" in command.text, "end of the second replica")
        command.wait_until(lambda: engines(command) == 1, "end of its engine")
        command.process.send_signal(signal.SIGINT)
        return Finished(command.wait(), command.text, run)
    finally:
        command.end()


def engines(command: Command) -> int:
    """vLLM's own processes below the command."""
    found = 0
    for process in psutil.Process(command.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it went in this moment
            found += "EngineCore" in " ".join(process.cmdline())
    return found


def test_no_group_is_lost_doubled_or_too_old(elastic: Finished) -> None:
    assert elastic.status == 130, elastic.output
    assert faults(elastic.groups, len(elastic.metrics), P, S) == []
    assert not any(row["sampling/retries"] or row["sync/failures"] for row in elastic.metrics)


def test_the_number_is_told_and_recorded(elastic: Finished) -> None:
    numbers = [int(row["rollout/replicas"]) for row in elastic.metrics]
    changes = [now for before, now in zip([0, *numbers], numbers, strict=False) if before != now]
    assert changes in ([1, 2, 1], [2, 1])
    told = re.findall(r"^step (\d+): rollout replicas: (\d) -> (\d)$", elastic.output, re.MULTILINE)
    assert [(before, now) for _, before, now in told] == [("1", "2"), ("2", "1")]
    assert all(numbers[int(step) - 1] == int(now) for step, _, now in told)
    assert "the new weights reached" not in elastic.output
