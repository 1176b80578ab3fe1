"""A cluster of two nodes on this machine, the second of which can be lost and replaced."""

from __future__ import annotations

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
from pathlib import Path

from tests.chaos.victims import Seen, family
from tests.full.conftest import clean_environment

RAY = str(Path(sys.executable).parent / "ray")
START_DEADLINE = 120.0


class TwoNodes:
    """``ray start``, twice, with one CPU each: what needs more than one lies on both."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
        self.environment = clean_environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(16))
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{one.getsockname()[1]}"
        self.environment["RAY_ADDRESS"] = self.address
        self._nodes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        return [node.pid for node in self._nodes]

    def start(self) -> None:
        port = self.address.rpartition(":")[2]
        self._begin("--head", f"--port={port}", f"--temp-dir={self.folder}", "--include-dashboard=false")
        self.add_node()

    def add_node(self) -> None:
        """A second node, once the first answers."""
        self._begin(f"--address={self.address}")

    def lose_node(self) -> None:
        """The raylet of the second node is killed, and all else there goes with it."""
        for seen in family([self._nodes[-1].pid]):
            if "raylet/raylet" in seen.title:
                seen.strike(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._nodes[-1].wait(30)
        self._nodes.pop().kill()

    def end(self) -> None:
        left: list[Seen] = family(self.pids)
        for node in reversed(self._nodes):
            node.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(5)
        for seen in left:
            if seen.alive:
                seen.strike(signal.SIGKILL)
        self._nodes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, *words: str) -> None:
        """The node joins while this waits for its raylet."""
        limits = ["--num-cpus=1", f"--object-store-memory={256 * 2**20}", "--block"]
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        environment["PATH"] = f"{Path(RAY).parent}{os.pathsep}{environment['PATH']}"
        with (self.folder / f"node-{len(self._nodes)}.txt").open("wb") as output:
            node = subprocess.Popen([RAY, "start", *words, *limits], env=environment, stdout=output, stderr=output)
        self._nodes.append(node)
        end = time.monotonic() + START_DEADLINE
        while not any("raylet/raylet" in seen.title for seen in family([node.pid])):
            assert node.poll() is None and time.monotonic() < end, (self.folder / output.name).read_text()
            time.sleep(0.2)
        time.sleep(2)  # until it has told the head
