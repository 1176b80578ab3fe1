"""Going on with a run whose newest checkpoint is corrupt, as a Ray job: as if it had never stopped.

The job runs on a cluster that was started beforehand, and trains to what the direct run trained to.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from tests.full.conftest import DEADLINE, ROOT, STEPS, Finished, clean_environment, run_to_end
from tests.patience import PATIENCE

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

RAY = str(Path(sys.executable).parent / "ray")
TRAIN = str(ROOT / "jobs" / "train.py")
REPLAY = str(ROOT / "jobs" / "replay.py")
KEPT = 2
"""The step whose checkpoint is the newest complete one."""


@dataclass(frozen=True, slots=True)
class Cluster:
    dashboard: str
    address: str
    """Of the head, for ``RAY_ADDRESS``."""
    folder: Path
    """What Ray keeps of it."""
    environment: dict[str, str]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def started_cluster() -> Iterator[Cluster]:
    """``ray start --head`` with two CPUs, apart from any other Ray here; its processes end with the block."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
    gcs, dashboard, client, agent = free_ports(4)
    environment = clean_environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(16))
    del environment["RAY_ADDRESS"]
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    ports = [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
    ports += [f"--dashboard-agent-listen-port={agent}"]
    limits = ["--num-cpus=2", f"--object-store-memory={512 * 2**20}"]
    head = subprocess.Popen(
        [RAY, "start", "--head", "--block", f"--temp-dir={folder}", *ports, *limits],
        env=environment,
        stdout=(folder / "head.txt").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        yield Cluster(f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{gcs}", folder, environment)
    finally:
        head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(5)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(folder) in " ".join(process.cmdline()):
                    process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def submit(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    line = [RAY, "job", "submit", "--address", cluster.dashboard, "--working-dir", str(ROOT), "--", *words]
    return subprocess.run(line, env=cluster.environment, capture_output=True, text=True, timeout=DEADLINE)


def wait_for_dashboard(cluster: Cluster) -> None:
    line = [RAY, "job", "list", "--address", cluster.dashboard]
    end = time.monotonic() + PATIENCE
    while subprocess.run(line, env=cluster.environment, capture_output=True, timeout=60).returncode:
        assert time.monotonic() < end, "the dashboard did not come up"
        time.sleep(1)


@pytest.fixture(scope="module")
def resumed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The finished run as a crash after step 3 would have left it, and then to its end once more.

    Its records hold steps that no complete checkpoint covers, the last of them cut off in mid-line.
    """
    storage = tmp_path_factory.mktemp("resumed")
    copy = RunFolder(shutil.copytree(finished.run.path, storage / "runs" / "again", symlinks=True))
    shutil.rmtree(checkpoint.folder_of(copy.checkpoints, STEPS))
    weights = checkpoint.folder_of(copy.checkpoints, KEPT + 1) / "policy" / "__0_0.distcp"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    copy.groups.write_bytes(copy.groups.read_bytes()[:-100])
    with started_cluster() as cluster:
        wait_for_dashboard(cluster)
        result = submit(cluster, "python", "jobs/train.py", "resume=again", f"storage={storage}", f"steps={STEPS}")
    return Finished(result.returncode, result.stdout + result.stderr, copy)


def test_it_says_what_it_passed_over_and_where_it_goes_on(resumed: Finished) -> None:
    assert resumed.status == 0, resumed.output
    passed_over = f"checkpoint step-{KEPT + 1:06d} cannot be used and was passed over: policy/__0_0.distcp has changed"
    assert resumed.output.count(passed_over) == 1, "it says so once"
    assert f"going on after step {KEPT}" in resumed.output.splitlines()
    assert f"trained policy: {resumed.run.export(STEPS)}" in resumed.output


def test_no_step_is_recorded_twice(resumed: Finished) -> None:
    assert [row["step"] for row in resumed.metrics] == list(range(STEPS))
    assert [row["position"] for row in resumed.groups] == list(range(4 * STEPS))


def test_it_sees_the_prompts_and_seeds_that_it_would_have_seen(finished: Finished, resumed: Finished) -> None:
    def seen(groups: list[dict[str, Any]]) -> list[tuple[str, list[int]]]:
        return [(group["prompt_id"], [rollout["seed"] for rollout in group["rollouts"]]) for group in groups]

    assert seen(resumed.groups) == seen(finished.groups)


def test_its_controller_goes_on_with_the_lengths_that_it_would_have_had(finished: Finished, resumed: Finished) -> None:
    found, expected = ([row["guidance/length"] for row in run.metrics] for run in (resumed, finished))
    assert found == pytest.approx(expected) and len(set(expected)) > 1, "the length moves"
    for group, again in zip(finished.groups, resumed.groups, strict=True):
        assert [r["guidance_tokens"] for r in again["rollouts"]] == [r["guidance_tokens"] for r in group["rollouts"]]


def test_end_to_end_it_goes_the_same_way(finished: Finished, resumed: Finished) -> None:
    """Same weights and seeds give the same texts, up to what rounding tips over; here, none."""
    for row, again in zip(finished.metrics[KEPT:], resumed.metrics[KEPT:], strict=True):
        assert again["accuracy/mean"] == row["accuracy/mean"]
        assert again.get("policy/loss") == pytest.approx(row.get("policy/loss"), abs=1e-5)


def test_its_weight_versions_go_on_and_never_back(resumed: Finished) -> None:
    """The version goes on from the checkpoint's; the weights it starts with count as one more."""
    for group in resumed.groups:
        published = 1 if group["step"] < KEPT else 2
        for rollout in group["rollouts"]:
            assert rollout["weight_versions"] == [[group["step"] + published, rollout["num_tokens"]]]


def test_the_resumed_steps_train_again_to_their_losses(resumed: Finished, tmp_path: Path) -> None:
    status, output = run_to_end(tmp_path, REPLAY, str(resumed.run.path))
    assert status == 0, output
    assert output.splitlines()[-1].endswith("(within 1e-06)")


def test_a_folder_that_holds_no_run_ends_with_2(tmp_path: Path) -> None:
    status, output = run_to_end(tmp_path, TRAIN, f"resume={tmp_path}")
    assert (status, output.count("\n")) == (2, 1)
    assert output.startswith(f"error: resume={tmp_path}: no run there")
