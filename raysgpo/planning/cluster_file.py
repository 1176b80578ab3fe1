"""The nodes that a cluster's file describes: of ``ray up``, or KubeRay's RayCluster, RayJob or RayService."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from raysgpo.config.cluster import Labels
from raysgpo.config.overrides import ConfigError
from raysgpo.planning.demand import Amounts
from raysgpo.planning.placement import Node

SPECS = {"RayCluster": (), "RayJob": ("rayClusterSpec",), "RayService": ("rayClusterConfig",)}
"""Where the cluster stands in the ``spec`` of each kind."""
GPU = "nvidia.com/gpu"


def read_nodes(file: Path) -> list[Node]:
    """Every node that the cluster may have, the most of each type.

    Raises:
        ConfigError: there is no such file, or it describes no cluster.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--cluster {file}: {' '.join(str(error).split())[:200]}") from None
    kind = content.get("kind") if isinstance(content, dict) else None
    try:
        if kind in SPECS:
            return _kubernetes(content["spec"], SPECS[kind])
        if isinstance(content, dict) and "available_node_types" in content:
            return ray_up_nodes(content)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"--cluster {file}: not readable as a cluster: {type(error).__name__} {error}") from None
    raise ConfigError(
        f"--cluster {file}: describes no cluster: give the YAML of ray up (available_node_types), or KubeRay's "
        f"{', '.join(SPECS)}"
    )


def ray_up_nodes(cluster: dict[str, Any]) -> list[Node]:
    """Of the YAML of ``ray up``: the head, and the most workers of each node type."""
    most, head = int(cluster.get("max_workers", 2)), cluster.get("head_node_type")
    nodes: list[Node] = []
    for name, kind in cluster.get("available_node_types", {}).items():
        count = 1 if name == head else min(int(kind.get("max_workers", most)), most)
        nodes += _nodes(name, count, dict(kind.get("resources") or {}), dict(kind.get("labels") or {}))
    return nodes


def _kubernetes(spec: dict[str, Any], path: tuple[str, ...]) -> list[Node]:
    for part in path:
        spec = spec[part]
    head = spec["headGroupSpec"]
    nodes = _nodes("head", 1, _pod_resources(head), _pod_labels(head))
    for group in spec.get("workerGroupSpecs") or []:
        count = int(group.get("maxReplicas", group.get("replicas", 1))) * int(group.get("numOfHosts", 1))
        nodes += _nodes(group["groupName"], count, _pod_resources(group), _pod_labels(group))
    return nodes


def _nodes(name: str, count: int, resources: Amounts, labels: Labels) -> list[Node]:
    return [Node(f"{name}-{number}" if count > 1 else name, resources, labels) for number in range(1, count + 1)]


def _pod_resources(group: dict[str, Any]) -> Amounts:
    """As KubeRay tells them to Ray: ``resources``, else ``rayStartParams``, else the limits of the first container."""
    limits = group["template"]["spec"]["containers"][0].get("resources", {}).get("limits", {})
    start = {
        **group.get("rayStartParams", {}),
        **{key: str(value) for key, value in group.get("resources", {}).items()},
    }
    cpus = start.get("CPU", start.get("num-cpus", limits.get("cpu", 0)))
    gpus = start.get("GPU", start.get("num-gpus", limits.get(GPU, 0)))
    return {"CPU": _quantity(cpus), "GPU": _quantity(gpus)}


def _pod_labels(group: dict[str, Any]) -> Labels:
    written = group.get("rayStartParams", {}).get("labels", "")
    pairs = (pair.partition("=") for pair in written.split(",") if pair)
    return {key.strip(): value.strip() for key, _, value in pairs} | dict(group.get("labels", {}))


def _quantity(given: Any) -> float:
    """Kubernetes' way to write amounts: ``2``, or ``500m``."""
    text = str(given)
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)
