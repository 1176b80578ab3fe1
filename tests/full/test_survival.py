"""One run with S = 1 that loses its judge, its train worker and its replica, and is then stopped by Ctrl-C."""

from __future__ import annotations

import pytest

from raysgpo.output import checkpoint
from tests.full.conftest import Battered

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


def test_every_step_and_every_group_is_recorded_once(battered: Battered) -> None:
    steps = len(battered.metrics)
    assert 9 <= steps < 1000
    assert [row["step"] for row in battered.metrics] == list(range(steps))
    assert [group["position"] for group in battered.groups] == list(range(4 * steps))
    assert not [group["error"] for group in battered.groups if group["error"]]


def test_the_replica_that_died_was_missed_and_another_one_answers(battered: Battered) -> None:
    """Either it was asked, and then the groups were asked for again, or the next weights reached nobody."""
    after = battered.metrics[battered.replica_had :]
    assert any(row["sampling/retries"] > 0 or row["sync/replicas"] == 0 for row in after)
    assert after[-1]["sync/replicas"] == 1


def test_the_worker_starts_again_from_its_checkpoint_and_says_so(battered: Battered) -> None:
    assert battered.output.count("the train workers were started again and go on after step ") == 1
    # Its weights were published once more, and so were those of each replayed step.
    folder, _ = checkpoint.newest_complete(battered.run.checkpoints)
    assert checkpoint.read_state(folder)["version"] > len(battered.metrics) + 1
    for group in battered.groups:
        for rollout in group["rollouts"]:
            versions = [version for version, _ in rollout["weight_versions"]]
            assert versions == sorted(set(versions)), "versions never go back"


def test_no_group_is_older_than_the_run_allows(battered: Battered) -> None:
    """Step 0 is on-policy; step 1 was admitted together with it, so it is one optimizer step old."""
    kept = [group for group in battered.groups if group["dropped"] != "too_old"]
    assert [group["age"] for group in kept[:8]] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert max(group["age"] for group in kept) == 1
    assert max(row["staleness/max"] for row in battered.metrics) <= 1


def test_ctrl_c_ends_it_after_its_step_with_a_checkpoint(battered: Battered) -> None:
    assert battered.status == 130, battered.output
    folder, messages = checkpoint.newest_complete(battered.run.checkpoints)
    assert (folder.name, messages) == (f"step-{len(battered.metrics):06d}", [])
    lines = battered.output.splitlines()
    assert "stopping after this step, with a checkpoint (Ctrl-C again to stop at once)" in lines
    storage = battered.run.path.parents[1]
    assert lines[-1] == f"stopped; go on with: python jobs/train.py resume=arithmetic-001 storage={storage}"
