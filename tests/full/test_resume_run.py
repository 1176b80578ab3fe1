"""Going on with a run whose newest checkpoint is corrupt: as if it had never stopped."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysgpo import checkpoint
from raysgpo.run_folder import RunFolder
from tests.full.conftest import ROOT, STEPS, Finished, run_to_end

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

TRAIN = str(ROOT / "jobs" / "train.py")
REPLAY = str(ROOT / "jobs" / "replay.py")
KEPT = 2
"""The step whose checkpoint is the newest complete one."""


@dataclass(frozen=True, slots=True)
class Resumed:
    status: int
    output: str
    finished: Finished


@pytest.fixture(scope="module")
def resumed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    """The finished run as a crash after step 3 would have left it, and then to its end once more.

    Its records hold steps that no complete checkpoint covers, the last of them cut off in mid-line.
    """
    storage = tmp_path_factory.mktemp("resumed")
    copy = RunFolder(shutil.copytree(finished.run.path, storage / "runs" / "again", symlinks=True))
    shutil.rmtree(checkpoint.folder_of(copy.checkpoints, STEPS))
    weights = checkpoint.folder_of(copy.checkpoints, KEPT + 1) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    copy.groups.write_bytes(copy.groups.read_bytes()[:-100])
    words = ["resume=again", f"storage={storage}", f"steps={STEPS}"]
    status, output = run_to_end(storage / "elsewhere", TRAIN, *words)
    return Resumed(status, output, Finished(status, output, copy))


def test_it_says_what_it_passed_over_and_where_it_goes_on(resumed: Resumed) -> None:
    assert resumed.status == 0, resumed.output
    first, *lines = resumed.output.splitlines()
    assert first.startswith(
        f"checkpoint step-{KEPT + 1:06d} is corrupt and was passed over: model.safetensors has changed"
    )
    assert f"going on after step {KEPT}" in lines
    assert first not in lines, "it says so once"


def test_no_step_is_recorded_twice(resumed: Resumed) -> None:
    assert [row["step"] for row in resumed.finished.metrics] == list(range(STEPS))
    assert [row["position"] for row in resumed.finished.groups] == list(range(4 * STEPS))


def test_it_sees_the_prompts_and_seeds_that_it_would_have_seen(finished: Finished, resumed: Resumed) -> None:
    def seen(groups: list[dict[str, Any]]) -> list[tuple[str, list[int]]]:
        return [(group["prompt_id"], [rollout["seed"] for rollout in group["rollouts"]]) for group in groups]

    assert seen(resumed.finished.groups) == seen(finished.groups)


def test_end_to_end_it_goes_the_same_way(finished: Finished, resumed: Resumed) -> None:
    """Same weights and seeds give the same texts, up to what rounding tips over; here, none."""
    for row, again in zip(finished.metrics[KEPT:], resumed.finished.metrics[KEPT:], strict=True):
        assert again["accuracy/mean"] == row["accuracy/mean"]
        assert again.get("policy/loss") == pytest.approx(row.get("policy/loss"), abs=1e-5)


def test_its_weight_versions_go_on_and_never_back(resumed: Resumed) -> None:
    """The version goes on from the checkpoint's; the weights it starts with count as one more."""
    for group in resumed.finished.groups:
        published = 1 if group["step"] < KEPT else 2
        for rollout in group["rollouts"]:
            assert rollout["weight_versions"] == [[group["step"] + published, rollout["num_tokens"]]]


def test_the_resumed_steps_train_again_to_their_losses(resumed: Resumed, tmp_path: Path) -> None:
    status, output = run_to_end(tmp_path, REPLAY, str(resumed.finished.run.path))
    assert status == 0, output
    assert output.splitlines()[-1].endswith("(within 1e-06)")


def test_a_folder_that_holds_no_run_ends_with_2(tmp_path: Path) -> None:
    status, output = run_to_end(tmp_path, TRAIN, f"resume={tmp_path}")
    assert (status, output.count("\n")) == (2, 1)
    assert output.startswith(f"error: resume={tmp_path}: no run there")
