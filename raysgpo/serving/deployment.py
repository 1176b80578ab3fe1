"""Rollout replicas on Ray Serve: deploy them, see how they are, take them down."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any

import ray
from ray import serve
from ray.actor import ActorHandle
from ray.serve.config import ProxyLocation
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus, LoggingConfig

from raysgpo.config import RolloutConfig
from raysgpo.serving.engine import EngineKind, engine_arguments
from raysgpo.serving.replica import RolloutReplica

log = logging.getLogger(__name__)

UNLIMITED_REQUESTS = 100_000
"""Serve's limit of requests in flight a replica. The engine queues by itself, and a push waits behind
this limit: with generation paused and the limit reached, it would wait for ever."""
HEALTH_PERIOD = 1.0
"""Seconds between health checks: how long a dead replica may go unnoticed."""
HEALTH_TIMEOUT = 10.0
"""Seconds for one health check; three lost in a row have the replica killed."""
CONSTRUCTOR_ATTEMPTS = 2
"""A model that failed to load twice will not load."""
FORCED_DELETE = 20.0
"""Seconds that a forced removal may take before we go on without it."""
REPORT_PERIOD = 30.0
"""Seconds between words about what the start waits for."""


def deploy_rollout(
    model_path: str,
    rollout: RolloutConfig,
    store: ActorHandle,
    *,
    engine: EngineKind = "vllm",
    name: str = "rollout",
) -> DeploymentHandle:
    """``start_rollout`` and ``wait_for_rollout`` in one."""
    handle = start_rollout(model_path, rollout, store, engine=engine, name=name)
    wait_for_rollout(rollout, name)
    return handle


def start_rollout(
    model_path: str,
    rollout: RolloutConfig,
    store: ActorHandle,
    *,
    engine: EngineKind = "vllm",
    name: str = "rollout",
) -> DeploymentHandle:
    """Begin to start ``rollout.replicas`` replicas of the model.

    The replicas hold no published version yet: each pulls the newest when it is pushed or asked.

    Raises:
        ValueError: ``rollout.engine`` sets what raysgpo must set.
    """
    if engine == "vllm":
        engine_arguments(model_path, rollout)  # A bad setting fails here, not in the replica.
    quiet = LoggingConfig(log_level="WARNING", enable_access_log=False)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location=ProxyLocation.Disabled, logging_config=quiet)
    deployment = serve.deployment(RolloutReplica).options(**_deployment_options(rollout, name, quiet))
    application = deployment.bind(model_path, rollout, store, engine)
    target = serve.RunTarget(application, name=name, route_prefix=None, logging_config=quiet)
    [handle] = serve.run_many([target], wait_for_applications_running=False)
    return handle


def wait_for_rollout(rollout: RolloutConfig, name: str = "rollout") -> None:
    """Return once all replicas run; take them down if they do not.

    Raises:
        RuntimeError: the replicas failed to start.
        TimeoutError: they were not up within ``rollout.start_deadline``, with what Serve says of why.
    """
    try:
        _wait_until_running(name, rollout)
    except (RuntimeError, TimeoutError):
        delete_rollout(name, deadline=0.0)
        raise


def _deployment_options(rollout: RolloutConfig, name: str, quiet: LoggingConfig) -> dict[str, Any]:
    return {
        "name": name,
        "num_replicas": rollout.replicas,
        "ray_actor_options": {"num_cpus": rollout.cpus, "num_gpus": rollout.gpus},
        "max_ongoing_requests": UNLIMITED_REQUESTS,
        "health_check_period_s": HEALTH_PERIOD,
        "health_check_timeout_s": HEALTH_TIMEOUT,
        # Serve kills after this, so it must exceed the longest generation.
        "graceful_shutdown_timeout_s": rollout.sample_deadline + HEALTH_TIMEOUT,
        "graceful_shutdown_wait_loop_s": 0.2,
        "max_constructor_retry_count": CONSTRUCTOR_ATTEMPTS,
        "logging_config": quiet,
    }


def _wait_until_running(name: str, rollout: RolloutConfig) -> None:
    deadline = rollout.start_deadline
    started = reported = time.monotonic()
    while True:
        application = serve.status().applications.get(name)
        if application is not None and application.status == ApplicationStatus.RUNNING:
            return
        now = time.monotonic()
        if application is not None and application.status == ApplicationStatus.DEPLOY_FAILED:
            raise RuntimeError(f"the rollout replicas failed to start: {describe_rollout(name)}")
        if now - started > deadline:
            raise TimeoutError(
                f"the rollout replicas were not up within rollout.start_deadline={deadline:g} s: "
                f"{describe_rollout(name)}; {_resources(rollout)}"
            )
        if now - reported > REPORT_PERIOD:
            reported = now
            log.warning("waiting for rollout replicas: %s; %s", describe_rollout(name), _resources(rollout))
        time.sleep(0.1)


def _resources(rollout: RolloutConfig) -> str:
    """What the replicas need, and what the cluster has and has free."""
    total, free = ray.cluster_resources(), ray.available_resources()
    have = ", ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU"))
    return (
        f"{rollout.replicas} replicas need {rollout.cpus:g} CPU and {rollout.gpus:g} GPU each, "
        f"and the cluster has {have} free"
    )


def describe_rollout(name: str = "rollout") -> str:
    """What Serve says of the deployment: number of replicas by state, and its messages."""
    application = serve.status().applications.get(name)
    if application is None:
        return f"Serve knows no application {name!r}"
    parts = [f"application {application.status.value}", application.message]
    for deployment in application.deployments.values():
        counts = ", ".join(f"{n} {state}" for state, n in deployment.replica_states.items() if n)
        parts += [f"replicas: {counts or 'none'}", deployment.message]
    return "; ".join(dict.fromkeys(" ".join(part.split()) for part in parts if part.strip()))


def running_replicas(name: str = "rollout") -> int:
    """Number of replicas that Serve counts as running."""
    application = serve.status().applications.get(name)
    if application is None:
        return 0
    return sum(d.replica_states.get("RUNNING", 0) for d in application.deployments.values())


def delete_rollout(name: str = "rollout", deadline: float = 30.0) -> None:
    """Take the replicas down: within ``deadline`` seconds after their requests, then by force.

    Replicas that wait for resources can only go by force: Serve would ask them politely, and wait.
    """
    serve.delete(name, _blocking=False)
    started = time.monotonic()
    while name in serve.status().applications:
        elapsed = time.monotonic() - started
        if elapsed > deadline + FORCED_DELETE:
            log.warning("rollout replicas are still there: %s", describe_rollout(name))
            return
        if elapsed > deadline:
            _kill_replicas(name)
        time.sleep(0.1)


def _kill_replicas(name: str) -> None:
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["name"].startswith(f"SERVE_REPLICA::{name}#"):
            with contextlib.suppress(ValueError):  # It went in this moment.
                ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]))
