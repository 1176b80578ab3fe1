"""What is asked of Ray's own coordinator, and that it is asked no longer."""

from __future__ import annotations

import time

import pytest
import ray
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator

from raysgpo.planning.demand import Demand
from raysgpo.planning.placement import Node
from raysgpo.session.node_request import NodeRequest

pytestmark = pytest.mark.ray

WANTED = [Demand("train worker", "trainer.cpus", 2, {"CPU": 0.25}, role="trainer")]


def reserved(request: NodeRequest) -> float:
    """CPUs that the coordinator keeps for it."""
    assert request.name is not None
    nodes = ray.get(get_or_create_autoscaling_coordinator().get_reserved_resources.remote(request.name), timeout=30)
    return sum(node.get("CPU", 0.0) for node in nodes.values())


def test_nodes_are_asked_for_within_the_block(ray_session: None) -> None:
    with NodeRequest() as request:
        for _ in range(2):  # renewed, not doubled
            request.renew(WANTED, [Node("n", {}, {"role": "trainer"})])
            assert reserved(request) == 0.5
    assert reserved(request) == 0.0


def test_what_nobody_renews_runs_out(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the death of the driver."""
    monkeypatch.setattr("raysgpo.session.node_request.EXPIRES", 1.0)
    request = NodeRequest()
    request.renew(WANTED, [])
    assert reserved(request) == 0.5
    time.sleep(1.1)
    other = NodeRequest()
    with other:  # whatever is asked next, or the coordinator's own look every 20 s, forgets it
        other.renew(WANTED, [])
        assert reserved(request) == 0.0


def test_a_run_that_never_waits_asks_nobody(ray_session: None) -> None:
    with NodeRequest() as request:
        pass
    assert request.name is None
