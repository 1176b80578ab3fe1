"""Rollout replicas of a model that is not being trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.serving.application import delete
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.handle import RolloutService
from raysgpo.session.interrupts import Say
from raysgpo.session.names import RunNames
from raysgpo.session.serving_parts import check_vocabulary
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport


@contextmanager
def running_rollout(config: ResolvedConfig, names: RunNames, model: str, say: Say) -> Iterator[RolloutService]:
    """Rollout replicas that serve ``model`` as it is, taken down at the end."""
    transport = StoreTransport(start_weight_store(names.plain))
    groups = config.groups_under_way
    handle = start_rollout(model, config.rollout, transport, name=names.rollout, run_id=names.id, groups=groups)
    try:
        wait_for_rollout(model, config.rollout, names.rollout, say)
        check_vocabulary(model, handle)
        yield RolloutService(handle, names.id)
    finally:
        delete(names.rollout)
