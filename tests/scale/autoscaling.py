"""Nodes come for a run and go after it, however it ends, by Ray's own autoscaler.

python -m tests.scale.autoscaling [--kinds done,killed,given-up,grown]

    done        three replicas; the run has its steps
    killed      three replicas; its driver is killed by SIGKILL in mid-run
    given-up    three replicas; Ctrl-C while it waits for the nodes that it has asked for
    grown       rollout.replicas=[1,3]: the nodes come in mid-run, by load, and go in mid-run

A head and up to two nodes as processes of this machine (Ray's provider ``fake_multinode``). Each replica takes the CPU
of a node, so three need two nodes beside the head. Printed: when the number of nodes changed, seconds after the run was
started. Exit status 1 if they did not come, or a node was left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml
from ray._raylet import AuthenticationTokenLoader
from ray._raylet import Config as ray_config
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.util import get_node_ip_address

from tests.full.conftest import clean_environment

RAY = str(Path(sys.executable).parent / "ray")
IDLE_MINUTES = 0.2
"""After which the autoscaler takes an idle node away."""
DEADLINE = 600.0
"""Seconds for nodes to come, and for them to go."""
FORGOTTEN = 240.0
"""Seconds after which what a killed run asked for is forgotten, by us in 60 and by Ray Train in 180, and nodes go."""
CONFIG: dict[str, Any] = {
    "cluster_name": "autoscaling",
    "max_workers": 2,
    "provider": {
        "type": "fake_multinode",
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "use_node_id_as_ip": True,
    },
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 2}, "node_config": {}, "max_workers": 0},
        "rollout": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
    "idle_timeout_minutes": IDLE_MINUTES,
    "upscaling_speed": 1.0,
    "auth": {},
    "docker": {},
    "head_node": {},
    "worker_nodes": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}
RUN = """arithmetic algorithm=grpo judge=none prompts_per_step=8 rollout.cpus=1 trainer.cpus=0.5
cluster.node_deadline=300""".split()
FIXED = ["rollout.replicas=3", "evaluation.every=0"]
ELASTIC = """rollout.replicas=[1,3] rollout.upscale_delay=1 rollout.downscale_delay=5 optimizer.updates_per_step=8
evaluation.prompts=4000 evaluation.every=100000 steps=100000""".split()
"""The evaluation before the first step keeps 256 answers under way, which calls for all replicas; then eight updates a
step leave them idle for most of the time."""
WORDS = {
    "done": [*FIXED, "steps=4"],
    "killed": [*FIXED, "steps=100000"],
    "given-up": [*FIXED, "steps=4"],
    "grown": ELASTIC,
}
GOALS = {"done": "trained policy", "killed": "step 2/", "given-up": "waiting for", "grown": "-> 1"}
"""What its console says when it is to end."""


class Autoscaled:
    """A head with an autoscaler, in a folder of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{one.getsockname()[1]}"
        login = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
        self.environment = clean_environment(**login, HOME=os.environ["HOME"])
        # Its monitor reads the file that ``ray up`` leaves on a head; a run reads it there too.
        self.config = self.folder / "ray_bootstrap_config.yaml"
        head = f"{get_node_ip_address()}:{self.address.rpartition(':')[2]}"
        provider = {**CONFIG["provider"], "gcs_address": head}
        self.config.write_text(yaml.safe_dump(CONFIG | {"provider": provider}))

    def __enter__(self) -> Autoscaled:
        port = self.address.rpartition(":")[2]
        fake = {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_enable_autoscaler_v2": "0",
        }
        words = ["--head", f"--port={port}", "--num-cpus=2", f"--temp-dir={self.folder}", "--include-dashboard=false"]
        line = [RAY, "start", *words, f"--autoscaling-config={self.config}", f"--object-store-memory={200 * 2**20}"]
        with (self.folder / "head.txt").open("wb") as output:
            self._head = subprocess.Popen(
                [*line, "--block"], env=self.environment | fake, stdout=output, stderr=output, start_new_session=True
            )
        os.environ.update(self.environment)
        ray_config.initialize("")  # it was read when ray was imported
        AuthenticationTokenLoader.instance().reset_cache()
        end = time.monotonic() + 120
        while "Ray runtime started" not in (said := (self.folder / "head.txt").read_text()):
            assert self._head.poll() is None and time.monotonic() < end, said
            time.sleep(0.5)
        ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        return self

    def __exit__(self, *error: object) -> None:
        ray.shutdown()
        mark = str(self.folder)
        for process in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(psutil.Error):
                if process.pid == self._head.pid or mark in " ".join(process.info["cmdline"] or []):
                    process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def nodes(self) -> int:
        return sum(node["Alive"] for node in ray.nodes())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(WORDS))
    kinds = parser.parse_args().kinds.split(",")
    wrong: list[str] = []
    with Autoscaled() as cluster:
        for kind in kinds:
            wrong += [f"{kind}: {fault}" for fault in ended(cluster, kind)]
    for line in wrong:
        print(f"WRONG: {line}")
    return int(bool(wrong))


def ended(cluster: Autoscaled, ending: str) -> Iterator[str]:
    """A run that ends so; what was not as it should be."""
    environment = cluster.environment | {"RAY_ADDRESS": cluster.address, "HOME": str(cluster.folder)}
    places = [f"storage={cluster.folder / 'runs'}", f"model_cache={Path('~/.cache/raysgpo').expanduser()}"]
    line = [sys.executable, "jobs/train.py", *RUN, *WORDS[ending], *places]
    started, said = time.monotonic(), cluster.folder / f"{ending}.txt"
    with said.open("wb") as output:
        run = subprocess.Popen(line, env=environment, stdout=output, stderr=subprocess.STDOUT)
    print(f"{ending}:", flush=True)
    seen, most = 0, 0

    def look() -> None:
        nonlocal seen, most
        if (now := cluster.nodes) != seen:
            print(f"  {time.monotonic() - started:6.1f} s  {now} nodes", flush=True)
        seen, most = now, max(most, now)

    def until(condition: Callable[[], bool], deadline: float) -> bool:
        end = time.monotonic() + deadline
        while not condition():
            look()
            if time.monotonic() > end:
                return False
            time.sleep(0.5)
        look()
        return True

    def told(text: str) -> bool:
        return text in said.read_text(errors="replace")

    goal = GOALS[ending]
    if not until(lambda: told(goal) or run.poll() is not None, DEADLINE) or not told(goal):
        yield f"it never said {goal!r}: {said.read_text(errors='replace')[-500:]}"
    if ending == "killed":
        run.kill()
    elif ending == "grown":
        until(lambda: cluster.nodes == 1, DEADLINE)
        if cluster.nodes != 1:
            yield "the nodes stayed when the replicas had gone"
    if ending in ("given-up", "grown"):
        run.send_signal(signal.SIGINT)
    run.wait(120)
    print(f"  {time.monotonic() - started:6.1f} s  the run has ended ({run.returncode})", flush=True)
    if not until(lambda: cluster.nodes == 1, FORGOTTEN + DEADLINE):
        yield f"{cluster.nodes - 1} nodes were left {FORGOTTEN + DEADLINE:.0f} s after it"
    if ending != "given-up" and most != 3:
        yield f"there were {most} nodes at most"


if __name__ == "__main__":
    sys.exit(main())
