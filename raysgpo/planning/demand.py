"""What a run reserves of a cluster: how many processes of each kind, what each takes, and on which nodes it may run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raysgpo.config import Config
from raysgpo.config.cluster import Labels, Role
from raysgpo.config.replica_bounds import ReplicaBounds

Amounts = dict[str, float]
"""Of each resource, by Ray's name."""

POSITIONS_PER_WORKER = 256
"""Groups that one worker process keeps in flight, where there are CPUs for more; their sampling waits elsewhere."""
WORKER_CPUS = 0.25
WORKERS_SHARE = 0.25
"""Of the cluster's CPUs: the workers never reserve more, one of them excepted."""


@dataclass(frozen=True, slots=True)
class Demand:
    """``count`` processes, each of which must fit on one node."""

    what: str
    settings: str
    """That ask for it, for messages."""
    count: int
    """What it starts with."""
    each: Amounts
    most: int = 0
    """What it may grow to while the run goes on, if to more; nobody waits for that."""
    role: Role | None = None
    """Of the nodes that it goes to, where some have one."""
    labels: Labels | None = None
    """That its nodes must have, in the place of the role: what the user asked for."""
    packed: bool = False
    """On as few nodes as can be."""

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


def replica_phases(config: Config, cpus: float) -> list[list[Demand]]:
    """As ``phases``, of rollout replicas alone."""
    return [[_rollout_demand(config)]]


def demands(config: Config, cpus: float) -> list[Demand]:
    """Everything that an online run reserves, by the settings that ask for it."""
    workers = worker_count(config, cpus)
    return [
        _trainer_demand(config),
        _rollout_demand(config),
        *_judge_demand(config),
        Demand(
            "group worker",
            "prompts_per_step",
            workers,
            amounts(WORKER_CPUS, 0),
            role="steady",
            labels=config.cluster.group_worker_selector,
        ),
    ]


def worker_count(config: Config, cpus: float) -> int:
    """Worker processes that the window keeps busy, as far as a cluster of so many CPUs has room for them."""
    wanted = math.ceil((config.max_staleness + 1) * config.prompts_per_step / POSITIONS_PER_WORKER)
    return max(1, min(wanted, int(WORKERS_SHARE * cpus / WORKER_CPUS)))


def _trainer_demand(config: Config) -> Demand:
    trainer = config.trainer
    fewest, most = trainer.workers
    return Demand(
        "train worker",
        "trainer.cpus / trainer.gpus",
        fewest,
        amounts(trainer.cpus, trainer.gpus),
        most,
        role="trainer",
        labels=trainer.label_selector,
        packed=True,
    )


def _rollout_demand(config: Config) -> Demand:
    rollout = config.rollout
    return _replica_demand("rollout", rollout.replicas, amounts(rollout.cpus, rollout.gpus), rollout.label_selector)


def _judge_demand(config: Config) -> list[Demand]:
    judge = config.judge
    if judge.kind != "replicas" or not config.needs_judge:
        return []
    return [_replica_demand("judge", judge.replicas, amounts(judge.cpus, judge.gpus), judge.label_selector)]


def _replica_demand(role: Role, replicas: ReplicaBounds, each: Amounts, labels: Labels | None) -> Demand:
    fewest, most = replicas
    return Demand(f"{role} replica", f"{role}.cpus / {role}.gpus", fewest, each, most, role, labels)


def amounts(cpus: float, gpus: float) -> Amounts:
    """What one process reserves; nothing of what it does not need."""
    return {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}
