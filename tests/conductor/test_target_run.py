"""A run whose prompts follow ADARFT's target, with a real stream: the records give the target and the choice again."""

from __future__ import annotations

import math
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest

from raysgpo.groups.prepared import StartState
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.conductor.conftest import Start
from tests.conductor.fakes import FakeRun

pytestmark = pytest.mark.ray

STEPS, STOP = 5, 2
WORDS = """max_staleness=1 sampling.group_size=4 evaluation.every=0 checkpoint.every=0 curriculum=target
task.terms=[2,3,4,5,6] task.prompts=20 curriculum.target=4""".split()


@pytest.fixture(scope="module")
def aimed(start_shared_run: Start) -> FakeRun:
    run: FakeRun = start_shared_run(STEPS, *WORDS)
    run.publish(0)
    for step in range(STEPS):
        run.whole_step(step)
    return run


def groups_of(run: RunFolder, step: int) -> list[dict[str, Any]]:
    return [row for row in read_rows(run.groups) if row["step"] == step]


def test_target_and_prompts_follow_from_the_records(aimed: FakeRun) -> None:
    difficulty = [problem.metadata["difficulty"] for problem in aimed.prepared.task.train]
    targets = [4.0]
    for step in range(STEPS):
        right = [rollout["correct"] for row in groups_of(aimed.folder, step) for rollout in row["rollouts"]]
        moved = targets[-1] + 0.5 * (6 - 2) * math.tanh(2 * (statistics.fmean(right) - 0.5))
        targets.append(min(max(moved, 2.0), 6.0))
    assert len(set(targets)) > 2, "the answers must move the target: choose other problems"
    for row in read_rows(aimed.folder.metrics):
        target = targets[max(row["step"] - 1, 0)]
        assert row["curriculum/target"] == pytest.approx(target)
        chosen = [group["metadata"]["difficulty"] for group in groups_of(aimed.folder, row["step"])]
        assert sorted(abs(d - target) for d in chosen) == pytest.approx(sorted(abs(d - target) for d in difficulty)[:2])
        assert row["curriculum/difficulty"] == statistics.fmean(chosen)


def test_a_resume_in_the_middle_chooses_the_same(
    aimed: FakeRun, start_run: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = RunFolder(Path(shutil.copytree(aimed.folder.path, tmp_path_factory.mktemp("runs") / "copy")))
    controllers = aimed.call("checkpoint_state", STOP)["controllers"]
    start = StartState(STOP, 2 * STOP, 40, controllers=controllers)
    resumed = start_run(STEPS, *WORDS, folder=copy.path, start=start)
    resumed.publish(STOP)
    for step in range(STOP, STEPS):
        resumed.whole_step(step)
        ids = [[row["prompt_id"] for row in groups_of(run, step)] for run in (resumed.folder, aimed.folder)]
        assert ids[0] == ids[1]
