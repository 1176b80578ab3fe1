"""Deployments for tests: taken down after the test, and the words to ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

Deploy = Callable[..., Any]


@pytest.fixture
def deploy_fake(ray_session: None) -> Iterator[Deploy]:
    """``deploy_fake(transport, replicas=1, update_deadline=..., **fake engine settings)`` -> handle."""
    from raysgpo.config import RolloutConfig
    from raysgpo.serving.application import delete
    from tests.rollouts import deploy_rollout
    from tests.serving.fake_engine import fake_engine

    def deploy(
        transport: Any,
        replicas: int = 1,
        update_deadline: float = 20.0,
        cpus: float = 0.1,
        token_deadline: float | None = None,
        **engine: Any,
    ) -> Any:
        rollout = RolloutConfig(
            replicas=replicas,
            cpus=cpus,
            kv_cache_gib=0.1,
            start_deadline=engine.pop("start_deadline", 60.0),
            update_deadline=update_deadline,
            token_deadline=token_deadline,
            engine=engine,
        )
        return deploy_rollout("model", rollout, transport, engine=fake_engine, name="fake")

    yield deploy
    delete("fake", deadline=5)
