"""The nodes of the cluster as it is."""

from __future__ import annotations

from dataclasses import replace

import ray
from ray._private.state import available_resources_per_node

from raysgpo.planning.placement import Node


def live_nodes() -> list[Node]:
    """Those that are there, by their addresses."""
    return [
        Node(node["NodeManagerAddress"], dict(node["Resources"]), dict(node["Labels"]), node["NodeID"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def free_nodes() -> list[Node]:
    """The same with what nobody has reserved of them; a second old at most."""
    free = available_resources_per_node()
    return [replace(node, resources=dict(free.get(node.id, {}))) for node in live_nodes()]
