"""What the process of a replica wrote to its log: vLLM's own processes say there, and nowhere else, why they failed."""

from __future__ import annotations

import re
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

TAIL = 2**17
"""Bytes of each file that are read."""
DEADLINE = 30.0
"""Seconds for them."""
_PROCESS = re.compile(r"\(pid=(\d+), ip=([^,)\s]+)")


def replica_log(said: str) -> str:
    """The end of the log of the process that ``said``, an error from Ray, names; empty if it cannot be read.

    The process may have run on any node, so a task reads it there.
    """
    if (process := _PROCESS.search(said)) is None:
        return ""
    here = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeManagerAddress"] == process[2]]
    if not here:
        return ""
    on_node = NodeAffinitySchedulingStrategy(here[0], soft=False)
    reader = ray.remote(_read).options(num_cpus=0, max_retries=0, scheduling_strategy=on_node)
    try:
        text: str = ray.get(reader.remote(int(process[1])), timeout=DEADLINE)
    except (RayError, TimeoutError):  # the log is a help, not a need
        return ""
    return text


def _read(pid: int) -> str:
    from ray._private.worker import _global_node

    return written_by(pid, Path(_global_node.get_logs_dir_path()))


def written_by(pid: int, logs: Path) -> str:
    """What is in Ray's log folder of a worker's standard output, then of its standard error."""
    return "\n".join(
        file.read_bytes()[-TAIL:].decode(errors="replace")
        for ending in ("out", "err")
        for file in sorted(logs.glob(f"worker-*-{pid}.{ending}"), key=lambda file: file.stat().st_mtime)[-1:]
    )
