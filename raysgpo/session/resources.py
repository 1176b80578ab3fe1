"""Will the cluster ever have what the run asks for? If so wait and say what for; if not, say so at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
import yaml
from ray._private.state import state as ray_state

from raysgpo.conductor.stream import WORKER_CPUS, worker_count
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.config.replica_bounds import ReplicaBounds

Amounts = dict[str, float]

BOOTSTRAP_CONFIG = Path("~/ray_bootstrap_config.yaml").expanduser()
"""Where ``ray up`` leaves the cluster's YAML on the head node."""
MANY = 1000
"""Nodes of a group without a limit."""


@dataclass(frozen=True, slots=True)
class Demand:
    """``count`` bundles that each must fit on one node."""

    what: str
    settings: str
    count: int
    """What it starts with."""
    each: Amounts
    most: int = 0
    """What it may grow to while the run goes on, if to more; nobody waits for that."""

    def text(self, name: str) -> str:
        """Such as ``1 rollout replica x 2``, of the resource ``name``."""
        grown = f" (up to {self.most})" if self.most > self.count else ""
        return f"{self.count} {self.what}{grown} x {self.each.get(name, 0):g}"


def phases(config: Config, cpus: float) -> list[list[Demand]]:
    """What the run reserves at one time, phase by phase: an online run has one, an offline run two.

    ``cpus``: of the cluster as it is.
    """
    if config.mode == "offline":
        replicas = config.offline.groups is None or config.evaluation.every > 0
        rollout = [_rollout_demand(config)] if replicas else []
        return [[*rollout, *_judge_demand(config)], [_trainer_demand(config)]]
    return [demands(config, cpus)]


def demands(config: Config, cpus: float) -> list[Demand]:
    """Everything that an online run reserves, by the settings that ask for it."""
    return [
        _rollout_demand(config),
        _trainer_demand(config),
        *_judge_demand(config),
        Demand("group worker", "prompts_per_step", worker_count(config, cpus), _amounts(WORKER_CPUS, 0)),
    ]


def _rollout_demand(config: Config) -> Demand:
    rollout = config.rollout
    return _replica_demand("rollout", rollout.replicas, _amounts(rollout.cpus, rollout.gpus))


def _trainer_demand(config: Config) -> Demand:
    trainer = config.trainer
    each = _amounts(trainer.cpus, trainer.gpus)
    return Demand("train worker", "trainer.cpus / trainer.gpus", trainer.workers, each)


def _judge_demand(config: Config) -> list[Demand]:
    judge = config.judge
    if judge.kind != "replicas" or not config.needs_judge:
        return []
    return [_replica_demand("judge", judge.replicas, _amounts(judge.cpus, judge.gpus))]


def _replica_demand(kind: str, replicas: ReplicaBounds, each: Amounts) -> Demand:
    fewest, most = replicas
    return Demand(f"{kind} replica", f"{kind}.cpus / {kind}.gpus", fewest, each, most)


def impossible(wanted: list[Demand], nodes: list[Amounts]) -> str | None:
    """Why these nodes, all idle, could not hold the demands; None if they could."""
    for demand in wanted:
        if not any(_fits(demand.each, node) for node in nodes):
            return f"a {demand.what} asks for {_text(demand.each)} and no node has that; change {demand.settings}"
    for name in ("CPU", "GPU"):
        asked = sum(demand.count * demand.each.get(name, 0) for demand in wanted)
        there = sum(node.get(name, 0) for node in nodes)
        if asked > there:
            parts = ", ".join(demand.text(name) for demand in wanted if demand.each.get(name))
            return f"the run asks for {asked:g} {name} ({parts}) and the cluster has {there:g}"
    return None


def wait_for_resources(config: Config, deadline: float, say: Callable[[str], None]) -> None:
    """Return once the cluster could hold the run; with an autoscaler, wait for its nodes.

    Raises:
        ConfigError: no node type can give it, or it did not come before the deadline.
    """
    for phase in range(len(phases(config, cpus=0.0))):
        _wait_for(partial(_wanted, config, phase), deadline, say)
        _tell_growth(_wanted(config, phase, _live_nodes()), say)


def _tell_growth(wanted: list[Demand], say: Callable[[str], None]) -> None:
    """A word where replicas that load may call for could never have a place: one that waits takes what comes free."""
    grown = [replace(demand, count=max(demand.count, demand.most)) for demand in wanted]
    reason = impossible(grown, _live_nodes())
    if grown == wanted or reason is None or impossible(grown, _node_types()) is None:
        return
    say(
        f"warning: with the most replicas {reason}: one that waits for a place would take that of a train worker that "
        "died; lower the most of rollout.replicas or judge.replicas"
    )


def _wanted(config: Config, phase: int, nodes: list[Amounts]) -> list[Demand]:
    return phases(config, sum(node.get("CPU", 0.0) for node in nodes))[phase]


def _wait_for(wanted_of: Callable[[list[Amounts]], list[Demand]], deadline: float, say: Callable[[str], None]) -> None:
    end = time.monotonic() + deadline
    said = False
    while True:
        nodes = _live_nodes()
        wanted = wanted_of(nodes)
        if (reason := impossible(wanted, nodes)) is None:
            return
        types = _node_types()
        if not types or (never := impossible(wanted, types)) is not None:
            raise ConfigError(reason if not types else f"{never} (all node types of the autoscaler counted)")
        if time.monotonic() > end:
            raise ConfigError(f"waited {deadline:.0f} s for nodes: {reason}")
        if not said:
            say(f"waiting for nodes: {reason}")
            _ask_autoscaler(wanted)
            said = True
        time.sleep(2.0)


def _live_nodes() -> list[Amounts]:
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _node_types() -> list[Amounts]:
    """One entry for each node that the autoscaler may start; empty without an autoscaler.

    Kubernetes and managed clusters report their node groups to Ray; a cluster made by ``ray up``
    keeps its YAML on the head node, where a submitted job runs.
    """
    reported = ray_state.get_cluster_config()
    if reported is not None:
        groups = [(dict(g.resources), g.max_count) for g in reported.node_group_configs]
    elif BOOTSTRAP_CONFIG.is_file():
        groups = node_groups(yaml.safe_load(BOOTSTRAP_CONFIG.read_text()))
    else:
        return []
    return [resources for resources, count in groups for _ in range(count if count >= 0 else MANY)]


def node_groups(cluster: dict[str, Any]) -> list[tuple[Amounts, int]]:
    """(resources of one node, most nodes) for each node type of a cluster YAML."""
    most = int(cluster.get("max_workers", 2))
    types = cluster.get("available_node_types", {}).values()
    return [(dict(kind.get("resources", {})), int(kind.get("max_workers", most))) for kind in types]


def _ask_autoscaler(wanted: list[Demand]) -> None:
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[demand.each for demand in wanted for _ in range(demand.count)])


def _amounts(cpus: float, gpus: float) -> Amounts:
    return {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}


def _fits(each: Amounts, node: Amounts) -> bool:
    return all(node.get(name, 0) >= amount for name, amount in each.items())


def _text(amounts: Amounts) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in amounts.items()) or "nothing"
