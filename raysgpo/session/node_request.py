"""Nodes asked of Ray's autoscaler for as long as a run waits for them.

Ray keeps what was asked of its autoscaler until somebody asks for something else, also when the asker is dead, and
Ray Data and Ray Train each ask through one actor that merges what is asked and overwrites all else every 20 s: its
coordinator. What is asked there runs out by itself. Once the nodes are there, what runs on them holds them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import DefaultAutoscalingCoordinator

from raysgpo.planning.demand import Demand
from raysgpo.planning.placement import Node, selector

EXPIRES = 180.0
"""Seconds after which a request that nobody renews is forgotten; a run looks around for less before its parts start."""


class NodeRequest:
    """The nodes for one run; withdrawn at the end of the block, or three minutes after the death of this process."""

    def __init__(self) -> None:
        self.name: str | None = None
        """By which the coordinator knows it; None while nothing is asked."""
        self._coordinator: DefaultAutoscalingCoordinator | None = None

    def renew(self, wanted: Sequence[Demand], known: Sequence[Node]) -> None:
        """Ask for room for all of ``wanted``, each part at what it starts with; to be called again and again."""
        if self._coordinator is None:
            self.name = f"raysgpo-{uuid.uuid4().hex[:8]}"
            self._coordinator = DefaultAutoscalingCoordinator(self.name)
        bundles = [(demand.each, selector(demand, known)) for demand in wanted for _ in range(demand.count)]
        self._coordinator.request_resources(
            [each for each, _ in bundles], EXPIRES, label_selectors=[labels for _, labels in bundles]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._coordinator is not None:
            self._coordinator.cancel_request()
