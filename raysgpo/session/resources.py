"""Has the cluster room for the run, now or ever? If not now, wait and say what for; if never, say so at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import ray
import yaml
from ray._private.state import available_resources_per_node
from ray._private.state import state as ray_state

from raysgpo.config import Config, Section
from raysgpo.config.cluster import ROLE, ROLES
from raysgpo.config.overrides import ConfigError
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.planning.cluster_file import ray_up_nodes
from raysgpo.planning.demand import Demand, phases
from raysgpo.planning.placement import Node, impossible, place, placement_lines, selector
from raysgpo.session.node_request import NodeRequest

BOOTSTRAP_CONFIG = Path("~/ray_bootstrap_config.yaml").expanduser()
"""Where ``ray up`` leaves the cluster's YAML on the head node."""
MANY = 1000
"""Nodes of a group without a limit."""
LOOK_EVERY = 2.0
"""Seconds from one look at the cluster to the next."""

Say = Callable[[str], None]


def wait_for_room(config: ResolvedConfig, say: Say) -> ResolvedConfig:
    """Return once the cluster has room for the run, with the labels of the nodes that its parts go to.

    Raises:
        ConfigError: no node or node type can give it, or it did not come before ``cluster.node_deadline``.
    """
    count = len(phases(config, cpus=0.0))
    with NodeRequest() as request:
        for phase in range(count):
            wanted = partial(_wanted, config, phase)
            _wait_for(wanted, config.cluster.node_deadline, request, say)
            _tell_growth(wanted(live_nodes()), say)
            there = live_nodes()
            known = [*there, *_node_types()]
            for line in placement_lines(wanted(there), _free(there), known):
                say(line)
    return _placed(config, known)


def _wanted(config: Config, phase: int, nodes: Sequence[Node]) -> list[Demand]:
    return phases(config, sum(node.resources.get("CPU", 0.0) for node in nodes))[phase]


def _wait_for(
    wanted_of: Callable[[Sequence[Node]], list[Demand]], deadline: float, request: NodeRequest, say: Say
) -> None:
    end, said = time.monotonic() + deadline, ""
    while True:
        there, types = live_nodes(), _node_types()
        wanted, known = wanted_of(there), [*there, *types]
        if place(wanted, _free(there), known) is not None:
            return
        reason = impossible(wanted, there, known)
        if reason is not None and (never := impossible(wanted, types, known) if types else reason) is not None:
            raise ConfigError(f"{never} (all node types of the autoscaler counted)" if types else never)
        waited_for = f"nodes: {reason}" if reason is not None else f"room: {_held(wanted, there, known)}"
        if time.monotonic() > end:
            raise ConfigError(f"waited {deadline:.0f} s (cluster.node_deadline) for {waited_for}")
        if not said:
            say(f"waiting for {waited_for}")
            said = waited_for
        if types:
            request.renew(wanted, known)
        time.sleep(LOOK_EVERY)


def _held(wanted: Sequence[Demand], there: Sequence[Node], known: Sequence[Node]) -> str:
    reason = impossible(wanted, _free(there), known)
    return f"others hold too much of the cluster; of what is free, {reason}" if reason else "others hold the rest"


def _tell_growth(wanted: Sequence[Demand], say: Say) -> None:
    """A word where replicas that load may call for could never have a place: one that waits takes what comes free."""
    there, types = live_nodes(), _node_types()
    grown = [
        replace(demand, count=max(demand.count, demand.most)) if demand.role != "trainer" else demand
        for demand in wanted
    ]
    reason = impossible(grown, there)
    if grown == wanted or reason is None or (types and impossible(grown, types, [*there, *types]) is None):
        return
    say(
        f"warning: with the most replicas {reason}: one that waits for a place would take that of a train worker that "
        "died; lower the most of rollout.replicas or judge.replicas"
    )


def _placed(config: ResolvedConfig, known: Sequence[Node]) -> ResolvedConfig:
    """The settings with every label selector filled in; empty where any node will do."""
    chosen = {demand.role: selector(demand, known) for phase in phases(config, cpus=0.0) for demand in phase}
    update: dict[str, Section] = {
        role: section.model_copy(update={"label_selector": chosen[role]})
        for role, section in (("trainer", config.trainer), ("rollout", config.rollout), ("judge", config.judge))
        if role in chosen
    }
    if "steady" in chosen:
        update["cluster"] = config.cluster.model_copy(update={"group_worker_selector": chosen["steady"]})
    return config.model_copy(update=update)


def live_nodes() -> list[Node]:
    """Those that are there, by their addresses."""
    return [
        Node(node["NodeManagerAddress"], dict(node["Resources"]), dict(node["Labels"]), node["NodeID"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def _free(nodes: Sequence[Node]) -> list[Node]:
    """The same nodes with what nobody has reserved of them."""
    free = available_resources_per_node()
    return [replace(node, resources=dict(free.get(node.id, {}))) for node in nodes]


def _node_types() -> list[Node]:
    """One entry for each node that the autoscaler may start; empty without an autoscaler.

    Kubernetes and managed clusters report their node groups to Ray, without their labels: a group that is called as a
    role has it. A cluster made by ``ray up`` keeps its YAML on the head node, where a submitted job runs.
    """
    reported = ray_state.get_cluster_config()
    if reported is not None:
        return [
            Node(group.name, dict(group.resources), {ROLE: group.name} if group.name in ROLES else {})
            for group in reported.node_group_configs
            for _ in range(group.max_count if group.max_count >= 0 else MANY)
        ]
    if BOOTSTRAP_CONFIG.is_file():
        return ray_up_nodes(yaml.safe_load(BOOTSTRAP_CONFIG.read_text()))
    return []
