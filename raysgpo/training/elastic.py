"""How many train workers there are, where ``trainer.workers`` leaves room to choose.

Ray Train's own policy counts what the nodes have, not what is free of it, and knows no labels: beside replicas it asks
for workers that never get a place, and waits for ever.

    start               as many as have room beside the rest of the run, which is not there yet
    after a failure     no more than before; fewer once their place has been missing for PATIENCE
    while they run      more, when two looks in a row find room for more
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from ray.train import ScalingConfig
from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    NoopDecision,
    ScalingDecision,
)
from ray.train.v2._internal.execution.worker_group import WorkerGroupPollStatus, WorkerGroupState

from raysgpo.nodes import free_nodes
from raysgpo.planning.placement import Node, room
from raysgpo.training.run_trainer import RunTrainer

PATIENCE = 20.0
"""Seconds for which there may be room for fewer workers than there were: what a dead process held comes free late."""


class FreeRoom(ElasticScalingPolicy):
    """As many workers as have room; lives in Ray Train's controller."""

    def __init__(self, scaling: ScalingConfig, first: int) -> None:
        """``first``: how many to start with."""
        super().__init__(scaling)
        self._number = first
        self._missing: float | None = None
        """Since when there has not been room for so many."""
        self._held: Counter[str] = Counter()
        """How many workers each node has, by Ray's id; they keep their places until others are started."""
        self._found = 0
        """What the look before found."""
        self._looked = 0.0

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        """As many as before, or fewer if their place does not come free."""
        self._maybe_send_resource_request()
        now, free = time.monotonic(), free_nodes()
        there = self._room(free) + sum(self._held[node.id] for node in free)
        self._missing = None if there >= self._number else self._missing or now
        if self._missing is not None:
            if there < self.scaling_config.min_workers or now - self._missing < PATIENCE:
                return NoopDecision()
            self._number, self._missing = there, None
        self._held.clear()
        return self._get_resize_decision(self._number)

    def make_decision_for_running_worker_group(
        self, worker_group_state: WorkerGroupState, worker_group_status: WorkerGroupPollStatus
    ) -> ScalingDecision:
        """More, if two looks in a row found room for as many; workers that have a place keep it."""
        self._maybe_send_resource_request()
        self._held = Counter(worker.metadata.node_id for worker in worker_group_state.workers)
        now = time.monotonic()
        if now - self._looked < self.scaling_config.elastic_resize_monitor_interval_s:
            return NoopDecision()
        there = worker_group_state.num_workers + self._room(free_nodes())
        before, self._found, self._looked = self._found, there, now
        if min(before, there) <= worker_group_state.num_workers:
            return NoopDecision()
        self._number, self._found = min(before, there, self.scaling_config.max_workers), 0
        self._held.clear()
        return self._get_resize_decision(self._number)

    def _room(self, free: list[Node]) -> int:
        scaling = self.scaling_config
        return room(scaling._resources_per_worker_not_none, scaling.label_selector or {}, free)


class ElasticTrainer(RunTrainer):
    """A run's trainer with that policy in the place of Ray Train's own."""

    def __init__(self, first: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._first = first

    def _initialize_and_run_controller(self, **parts: Any) -> Any:
        policy = FreeRoom(self.scaling_config, self._first)
        return super()._initialize_and_run_controller(**{**parts, "scaling_policy": policy})
