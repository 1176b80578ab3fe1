"""Nodes of the trainer that are about to be taken away, by the notice that a cloud or an autoscaler gave Ray."""

from __future__ import annotations

from ray.train.v2._internal.execution.context import get_train_context


def leaving_nodes() -> tuple[str, ...]:
    """Ray's ids of the nodes with train workers of this run that are being drained.

    Ray Train's watcher tells every worker, and at the deadline of the notice starts the workers again on other nodes.
    ``ray.train.get_preemption_info`` says the same at the price of a barrier of all ranks, which a rank on such a node
    may not live to reach.
    """
    info = get_train_context().preemption_context.preemption_info
    return () if info is None else tuple(info.preempted_node_ids)
