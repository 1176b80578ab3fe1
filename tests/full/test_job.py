"""The same run as a Ray job, against a cluster that was started beforehand: the same numbers."""

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

import psutil
import pytest

from raysgpo.run_folder import RunFolder, read_rows
from tests.full.conftest import DEADLINE, ROOT, Finished, clean_environment

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

RAY = str(Path(sys.executable).parent / "ray")


@dataclass(frozen=True, slots=True)
class Cluster:
    dashboard: str
    environment: dict[str, str]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """``ray start --head`` with two CPUs, apart from any other Ray here; its processes end with the test."""
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
        yield Cluster(f"http://127.0.0.1:{dashboard}", environment)
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
    end = time.monotonic() + 60
    while subprocess.run(line, env=cluster.environment, capture_output=True, timeout=60).returncode:
        assert time.monotonic() < end, "the dashboard did not come up"
        time.sleep(1)


def test_a_submitted_job_trains_to_the_metrics_of_the_direct_run(
    cluster: Cluster, finished: Finished, small: list[str], tmp_path: Path
) -> None:
    wait_for_dashboard(cluster)
    words = ["python", "jobs/train.py", *small, f"storage={tmp_path}", "steps=2", "evaluation.every=4"]
    result = submit(cluster, *words)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"trained policy: {tmp_path}/runs/arithmetic-001/checkpoints/step-000002" in result.stdout
    rows = list(read_rows(RunFolder(tmp_path / "runs" / "arithmetic-001").metrics))
    assert [row["step"] for row in rows] == [0, 1]
    for row, direct in zip(rows, finished.metrics, strict=False):
        assert row["accuracy/mean"] == direct["accuracy/mean"]
        assert row.get("policy/loss") == pytest.approx(direct.get("policy/loss"), abs=1e-6)
        assert row.get("policy/grad_norm") == pytest.approx(direct.get("policy/grad_norm"), rel=1e-4)
