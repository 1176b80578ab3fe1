"""May programs be shut in on every node? Asked of each before anything expensive starts.

Groups are graded on whatever node has room for their worker. A node that comes later is asked by the worker itself.
"""

from __future__ import annotations

import ray

from raysgpo.config.overrides import ConfigError
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.sandbox import SandboxRefused, check_sandbox
from raysgpo.session.shared_folders import DEADLINE, everywhere


def look() -> str:
    """On a node: why programs cannot be run there; empty if they can."""
    try:
        check_sandbox()
    except SandboxRefused as error:
        return str(error)
    return ""


def check_sandboxes(config: ResolvedConfig, deadline: float = DEADLINE) -> None:
    """Return once every node has run a program in a sandbox; at once where no program is run.

    Raises:
        ConfigError: a node does not let one be shut in, or does not answer.
    """
    if not config.task.row.sandboxed:
        return
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = everywhere(look, {node["NodeID"]: () for node in nodes}, deadline)
    for node in nodes:
        said = answers.get(node["NodeID"], f"it did not say within {deadline:.0f} s whether programs can be shut in")
        if said:
            raise ConfigError(f"task.kind={config.task.kind}: node {node['NodeManagerAddress']}: {said}")
