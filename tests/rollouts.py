"""Rollout replicas for tests and benchmarks."""

from __future__ import annotations

from ray.actor import ActorHandle
from ray.serve.handle import DeploymentHandle

from raysgpo.config import RolloutConfig
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.engine import EngineKind


def deploy_rollout(
    model: str, rollout: RolloutConfig, store: ActorHandle, *, name: str = "rollout", engine: EngineKind = "vllm"
) -> DeploymentHandle:
    """Replicas that run."""
    handle = start_rollout(model, rollout, store, name=name, engine=engine)
    wait_for_rollout(rollout, name, print)
    return handle
