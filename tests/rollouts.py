"""Rollout replicas for tests and benchmarks."""

from __future__ import annotations

from typing import Any

from raysgpo.config import RolloutConfig
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.engine import EngineFactory, VllmEngine
from raysgpo.weights.store_transport import StoreTransport


def deploy_rollout(
    model: str,
    rollout: RolloutConfig,
    transport: StoreTransport,
    *,
    name: str = "rollout",
    groups: int = 1,
    engine: EngineFactory = VllmEngine,
) -> Any:
    """The handle of replicas that run, with all that Serve's handles can do."""
    handle = start_rollout(model, rollout, transport, name=name, groups=groups, engine=engine)
    wait_for_rollout(model, rollout, name, print)
    return handle
