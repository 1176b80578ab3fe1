"""The cluster on one machine: it comes up with its roles, takes a job, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.local import FOLDER, MARK
from tests.command.test_cli import ROOT

pytestmark = pytest.mark.ray
SHOW = "import os, sys, ray; ray.init(); print('job', sys.executable, sorted(n['Labels']['role'] for n in ray.nodes()))"


class Local:
    """Apart from any other of this user: its folder lies elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER.name
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment["TMPDIR"] = str(folder)

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(ROOT / "cluster" / "local.py"), *words]
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, timeout=300)

    @property
    def processes(self) -> list[psutil.Process]:
        return [one for one in psutil.process_iter(["environ"]) if self._is_ours(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        environment = process.info["environ"] or {}
        return bool(environment.get(MARK) == str(self.folder))


@pytest.fixture
def local() -> Iterator[Local]:
    folder = Path(tempfile.mkdtemp(prefix="r-", dir="/tmp"))  # short: sockets lie in it
    command = Local(folder)
    try:
        yield command
    finally:
        command("down")
        shutil.rmtree(folder)


def test_up_a_job_and_down(local: Local) -> None:
    up = local("up", "--nodes", "trainer", "rollout", "--cpus", "3")
    assert up.returncode == 0, up.stderr
    told = sorted(line for line in up.stdout.splitlines() if line.startswith("node "))
    assert told == ["node role=head: 0 CPU", "node role=rollout: 3 CPU", "node role=trainer: 3 CPU"]
    assert (local.folder / "token").stat().st_mode & 0o077 == 0 and local.folder.stat().st_mode & 0o077 == 0

    again = local("up")
    assert (again.returncode, again.stdout) == (1, "")
    assert (
        again.stderr
        == f"error: {local.folder} is there: a local cluster runs; end it with python cluster/local.py down\n"
    )

    lines = (local.folder / "environment").read_text(encoding="utf-8").splitlines()
    login = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    submit = [str(Path(sys.executable).parent / "ray"), "job", "submit", "--", "python", "-c", SHOW]
    job = subprocess.run(submit, env=local.environment | login, capture_output=True, text=True, timeout=300)
    assert f"job {sys.executable} ['head', 'rollout', 'trainer']" in job.stdout, job.stdout + job.stderr
    stranger = subprocess.run(
        submit,
        env=local.environment | login | {"RAY_AUTH_TOKEN": "0" * 64},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert stranger.returncode != 0 and "raysubmit" not in stranger.stdout

    there = local.processes
    assert len(there) > 5
    down = local("down")
    assert down.returncode == 0 and down.stdout.startswith("ended ")
    assert local.processes == [] and not local.folder.exists()
    assert local("down").stdout == "no local cluster runs\n"


def test_who_is_in_its_environment_is_not_ended_with_it(local: Local) -> None:
    login = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(local.folder / "token")}
    with subprocess.Popen(["sleep", "60"], env=local.environment | login) as shell:
        local("down")
        assert shell.poll() is None
        shell.kill()
