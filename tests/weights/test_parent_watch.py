"""A process that watches its parent ends with it, also where the parent was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.ray

PARENT = """
import multiprocessing, time
from tests.weights.test_parent_watch import watching

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")  # as vLLM starts its own
    ours, theirs = context.Pipe()
    child = context.Process(target=watching, args=(theirs,))
    child.start()
    ours.recv()
    print(child.pid, flush=True)
    child.join()
"""


def watching(parent: Connection) -> None:
    import raysgpo.weights.parent_watch  # noqa: F401

    os.setsid()
    parent.send("up")
    time.sleep(600)


def test_a_child_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(1.5)
    assert child.is_running(), "as long as the parent is there"
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs([child], timeout=10)
    assert gone and not alive
