"""Has the cluster room for the run, now or ever? If not now, wait and say what for; if never, say so at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import yaml
from ray._private.state import state as ray_state

from raysgpo.config import Config, Section
from raysgpo.config.cluster import ROLE, ROLES
from raysgpo.config.overrides import ConfigError
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.nodes import free_nodes, live_nodes
from raysgpo.planning.cluster_file import ray_up_nodes
from raysgpo.planning.demand import Demand, phases
from raysgpo.planning.placement import Node, impossible, place, placement_lines, selector
from raysgpo.session.interrupts import Say
from raysgpo.session.node_request import NodeRequest

BOOTSTRAP_CONFIG = Path("~/ray_bootstrap_config.yaml").expanduser()
"""Where ``ray up`` leaves the cluster's YAML on the head node."""
MANY = 1000
"""Nodes of a group without a limit."""
LOOK_EVERY = 2.0
"""Seconds from one look at the cluster to the next."""


Phases = Callable[[Config, float], list[list[Demand]]]
"""Settings and the cluster's CPUs to what is reserved at one time, phase by phase."""


@contextmanager
def room(config: ResolvedConfig, say: Say, phases_of: Phases = phases) -> Iterator[ResolvedConfig]:
    """Yields once the cluster has room for the run, the settings with the labels of the nodes that its parts go to.

    Within the block an autoscaler is asked to keep the nodes that it was asked for; from then on the parts hold them.

    Raises:
        ConfigError: no node or node type can give it, or it did not come before ``cluster.node_deadline``.
    """
    count = len(phases_of(config, 0.0))
    with NodeRequest() as request:
        for phase in range(count):
            wanted = partial(_wanted, config, phase, phases_of)
            _wait_for(wanted, config.cluster.node_deadline, request, say)
            there, types = live_nodes(), _node_types()
            known = [*there, *types]
            _tell_growth(wanted(there), there, types, say)
            for line in placement_lines(wanted(there), free_nodes(), known):
                say(line)
        yield _placed(config, known, phases_of)


def _wanted(config: Config, phase: int, phases_of: Phases, nodes: Sequence[Node]) -> list[Demand]:
    return phases_of(config, sum(node.resources.get("CPU", 0.0) for node in nodes))[phase]


def _wait_for(
    wanted_of: Callable[[Sequence[Node]], list[Demand]], deadline: float, request: NodeRequest, say: Say
) -> None:
    end, said = time.monotonic() + deadline, False
    while True:
        there, free, types = live_nodes(), free_nodes(), _node_types()
        wanted, known = wanted_of(there), [*there, *types]
        if place(wanted, free, known) is not None:
            return
        reason = impossible(wanted, there, known)
        if reason is not None and (never := _never(reason, wanted, types, known)) is not None:
            raise ConfigError(never)
        waited_for = f"nodes: {reason}" if reason is not None else f"room: {_held(wanted, free, known)}"
        if time.monotonic() > end:
            raise ConfigError(f"waited {deadline:.0f} s (cluster.node_deadline) for {waited_for}")
        if not said:
            say(f"waiting for {waited_for}")
            said = True
        if types:
            request.renew(wanted, known)
        time.sleep(LOOK_EVERY)


def _never(reason: str, wanted: Sequence[Demand], types: Sequence[Node], known: Sequence[Node]) -> str | None:
    """Why no node that may come would help; None if one might. ``reason``: why those that are there do not do."""
    if not types:
        return reason
    if any(not node.resources for node in types):  # machines of one's own, which say what they have when they join
        return None
    never = impossible(wanted, types, known)
    return f"{never} (all node types of the autoscaler counted)" if never is not None else None


def _held(wanted: Sequence[Demand], free: Sequence[Node], known: Sequence[Node]) -> str:
    reason = impossible(wanted, free, known)
    return f"others hold too much of the cluster; of what is free, {reason}" if reason else "others hold the rest"


def _tell_growth(wanted: Sequence[Demand], there: Sequence[Node], types: Sequence[Node], say: Say) -> None:
    """A word where replicas that load may call for could never have a place: one that waits takes what comes free."""
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


def workers_with_room(config: ResolvedConfig, serving: bool) -> int:
    """How many train workers have room now beside what the run has yet to start; ``serving``: its replicas are up."""
    fewest, most = config.trainer.workers
    if fewest == most:
        return fewest
    there, free = live_nodes(), free_nodes()
    known = [*there, *_node_types()]
    wanted = _wanted(config, -1, phases, there)
    rest = [demand for demand in wanted if demand.role == "steady" or (demand.role != "trainer" and not serving)]
    trainer = next(demand for demand in wanted if demand.role == "trainer")
    fitting = (n for n in range(most, fewest, -1) if place([replace(trainer, count=n), *rest], free, known) is not None)
    return next(fitting, fewest)


def _placed(config: ResolvedConfig, known: Sequence[Node], phases_of: Phases) -> ResolvedConfig:
    """The settings with every label selector filled in; empty where any node will do."""
    chosen = {demand.role: selector(demand, known) for phase in phases_of(config, 0.0) for demand in phase}
    update: dict[str, Section] = {
        role: section.model_copy(update={"label_selector": chosen[role]})
        for role, section in (("trainer", config.trainer), ("rollout", config.rollout), ("judge", config.judge))
        if role in chosen
    }
    if "steady" in chosen:
        update["cluster"] = config.cluster.model_copy(update={"group_worker_selector": chosen["steady"]})
    return config.model_copy(update=update)


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
