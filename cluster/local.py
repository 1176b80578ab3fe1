"""A cluster on one machine: a head and worker nodes as processes, for what will later run on real nodes.

``python cluster/local.py up [--nodes trainer rollout] [--cpus N]`` starts it and prints how to submit a job;
``python cluster/local.py down`` ends all of it. One for each user of a machine. Its nodes share the machine's cores:
``--cpus`` is what Ray counts for each, not what it has. GPUs are left out: two nodes would each count all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

FOLDER = Path(tempfile.gettempdir()) / f"raysgpo-cluster-{os.getuid()}"
"""For its user alone: token, environment, and Ray's files below, which Ray itself opens to all. Its name is short: the
path of a socket has 107 bytes."""
MARK = "RAYSGPO_LOCAL_CLUSTER"
"""An environment variable that all processes of the cluster inherit."""
BIN = Path(sys.executable).parent
ROLES = ("trainer", "rollout", "judge")
OBJECT_STORE = 3 * 2**29
"""Bytes of each node's share of /dev/shm."""
START_DEADLINE = 120.0
"""Seconds until the dashboard answers and every node is there."""
END_DEADLINE = 5.0
"""Seconds that processes may take to end before they are killed."""


class NotStarted(Exception):
    """In one line, with what to do."""


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.command == "down":
        print(f"ended {end()} processes" if FOLDER.exists() or _processes() else "no local cluster runs")
        return 0
    try:
        print(up(arguments.nodes, arguments.cpus))
    except NotStarted as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing of it is left", file=sys.stderr)
        return 130
    return 0


def up(roles: list[str], cpus: int) -> str:
    """Start a head and a node of each role; what to type next.

    Raises:
        NotStarted: one runs already, or Ray did not come up.
    """
    try:
        FOLDER.mkdir(mode=0o700)
    except FileExistsError:
        raise NotStarted(f"{FOLDER} is there: a local cluster runs; end it with python cluster/local.py down") from None
    try:
        environment = _start(roles, cpus)
        nodes = _wait(environment, len(roles) + 1)
    except BaseException:  # Ctrl-C too
        end()
        raise
    lines = "\n".join(f"export {name}={value}" for name, value in environment.items())
    (FOLDER / "environment").write_text(f"{lines}\n", encoding="utf-8")
    return f"""\
{nodes}

The environment of what talks to it:
source {FOLDER}/environment

A job, in the folder of this repository:
ray job submit --working-dir . -- python jobs/train.py arithmetic

dashboard: {environment["RAY_API_SERVER_ADDRESS"]} (it asks for the token in {FOLDER}/token)
end of it: python cluster/local.py down"""


def end() -> int:
    """End every process of the cluster and remove its files; how many there were."""
    found = _processes()
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(found, END_DEADLINE)
    late = {*found, *_processes()}  # a worker that was being started meanwhile
    for process in late:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(late, END_DEADLINE)
    shutil.rmtree(FOLDER, ignore_errors=True)
    return len(late)


def _start(roles: list[str], cpus: int) -> dict[str, str]:
    """Start all nodes; the environment of their clients."""
    token = FOLDER / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32), encoding="utf-8")
    gcs, dashboard, client, *agents = _free_ports(4 + len(roles))
    login = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    head = [f"--port={gcs}", f"--temp-dir={FOLDER / 'ray'}", f"--dashboard-port={dashboard}"]
    # Nothing that takes CPUs lands on the head: what the run cannot lose is there.
    _ray_start(login, "head", ["--head", *head, f"--ray-client-server-port={client}", "--num-cpus=0"], agents[0])
    for number, (role, agent) in enumerate(zip(roles, agents[1:], strict=True), start=1):
        # Nodes that shared a folder would each unpack a job's code there, and take it from under the others.
        own = f"--temp-dir={FOLDER / f'ray-{number}'}"
        _ray_start(login, role, [f"--address=127.0.0.1:{gcs}", f"--num-cpus={cpus}", own], agent)
    return login | {"RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}"}


def _ray_start(login: dict[str, str], role: str, words: list[str], agent: int) -> None:
    limits = ["--num-gpus=0", f"--object-store-memory={OBJECT_STORE}", f"--dashboard-agent-listen-port={agent}"]
    # Jobs begin with "python", which shall be this one; nor shall they join what these variables lead to.
    elsewhere = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_API_SERVER_ADDRESS")
    own = {name: value for name, value in os.environ.items() if name not in elsewhere}
    environment = own | login | {MARK: str(FOLDER), "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    line = [str(BIN / "ray"), "start", *words, *limits, f"--labels=role={role}"]
    result = subprocess.run(
        line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True
    )
    if result.returncode:
        said = " ".join((result.stderr or result.stdout).split())[-400:]
        raise NotStarted(f"the {role} node did not start: {said}")


def _wait(environment: dict[str, str], count: int) -> str:
    """Return once the cluster takes jobs and ``count`` nodes are there; a line for each."""
    os.environ.update(environment)
    os.environ.pop("RAY_AUTH_TOKEN", None)
    from ray.util.state import list_nodes  # reads the environment when it is imported

    deadline = time.monotonic() + START_DEADLINE
    while True:
        try:
            nodes = list_nodes(
                address=environment["RAY_API_SERVER_ADDRESS"], timeout=5, filters=[("state", "=", "ALIVE")]
            )
            if len(nodes) >= count:
                return "\n".join(_line(node.labels["role"], node.resources_total) for node in nodes)
        except Exception:  # of several kinds, while the dashboard starts
            nodes = []
        if time.monotonic() > deadline:
            raise NotStarted(f"{len(nodes)} of {count} nodes were there after {START_DEADLINE:g} s")
        time.sleep(0.5)


def _line(role: str, resources: dict[str, float]) -> str:
    return f"node role={role}: {resources.get('CPU', 0):g} CPU"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _processes() -> set[psutil.Process]:
    """All of the cluster's: those that have the mark, and their descendants, which may have written over theirs."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid() and process.environ().get(MARK) == str(FOLDER):
                found |= {process, *process.children(recursive=True)}
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cluster/local.py", description="A Ray cluster of several nodes on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start a head and worker nodes, and print how to submit a job")
    start.add_argument(
        "--nodes", nargs="+", choices=ROLES, default=["trainer", "rollout"], help="a worker node of each role"
    )
    half = max(2, (os.cpu_count() or 1) // 2)
    start.add_argument(
        "--cpus", type=int, default=half, help=f"CPUs that Ray counts for each worker node (default {half})"
    )
    commands.add_parser("down", help="end all of it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
