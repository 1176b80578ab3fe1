"""Rollout replicas on Ray Serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve.schema import LoggingConfig

from raysgpo.config import RolloutConfig
from raysgpo.serving.application import Start, quiet_logging, start_serve, wait_until_running
from raysgpo.serving.autoscaling import rollout_options
from raysgpo.serving.engine import EngineFactory, VllmEngine, engine_arguments
from raysgpo.serving.handle import RolloutHandle
from raysgpo.serving.replica import RolloutReplica
from raysgpo.serving.start_failure import EngineSettings
from raysgpo.weights.transport import WeightTransport

UNLIMITED_REQUESTS = 100_000
"""Serve's limit of requests in flight a replica. The engine queues by itself, and a push waits behind
this limit: with generation paused and the limit reached, it would wait for ever."""
HEALTH_PERIOD = 1.0
"""Seconds between health checks: how long a dead replica may go unnoticed."""
HEALTH_TIMEOUT = 10.0
"""Seconds for one health check; three lost in a row have the replica killed."""
CONSTRUCTOR_ATTEMPTS = 2
"""A model that failed to load twice will not load."""


def start_rollout(
    model_path: str,
    rollout: RolloutConfig,
    transport: WeightTransport,
    *,
    name: str,
    run_id: str = "",
    groups: int = 1,
    engine: EngineFactory = VllmEngine,
) -> RolloutHandle:
    """Begin to start the fewest of ``rollout.replicas`` of the model.

    The replicas hold no published version yet: each pulls the newest when it is pushed or asked.

    Args:
        groups: the most that the run has under way at a time, by which Serve chooses how many replicas there are.

    Raises:
        ValueError: ``rollout.engine`` sets what raysgpo must set.
    """
    engine_arguments(model_path, rollout)  # A bad setting fails here, not in the replica.
    start_serve(http=False)  # does nothing where Serve runs
    quiet = quiet_logging()
    deployment = serve.deployment(RolloutReplica).options(**_deployment_options(rollout, name, groups, quiet))
    application = deployment.bind(model_path, rollout, transport, engine, run_id)
    target = serve.RunTarget(application, name=name, route_prefix=None, logging_config=quiet)
    handle: RolloutHandle
    [handle] = serve.run_many([target], wait_for_applications_running=False)
    return handle


def wait_for_rollout(model_path: str, rollout: RolloutConfig, name: str, report: Callable[[str], None]) -> None:
    """Return once the fewest replicas run; take them down if they do not.

    Raises:
        ConfigError: an engine cannot start with these settings.
        RuntimeError: the replicas failed to start.
        TimeoutError: they were not up within ``rollout.start_deadline``, with what Serve says of why.
    """
    fewest, most = rollout.replicas
    grown = f" (up to {most} later)" if most > fewest else ""
    needs = f"{fewest} replicas{grown} need {rollout.cpus:g} CPU and {rollout.gpus:g} GPU each"
    engine = EngineSettings("rollout", f"model={model_path}", rollout.gpus, rollout.kv_cache_gib, rollout.engine)
    start = Start(name, "rollout replicas", rollout.start_seconds, "rollout.start_deadline", needs, engine)
    wait_until_running(start, report)


def _deployment_options(rollout: RolloutConfig, name: str, groups: int, quiet: LoggingConfig) -> dict[str, Any]:
    threads = {"OMP_NUM_THREADS": str(rollout.threads or 1)} if rollout.gpus == 0 else {}
    return {
        "name": name,
        **rollout_options(rollout, groups),
        "ray_actor_options": {
            "num_cpus": rollout.cpus,
            "num_gpus": rollout.gpus,
            "label_selector": rollout.label_selector or {},
            "runtime_env": {"env_vars": threads},  # read when torch is imported
        },
        "max_ongoing_requests": UNLIMITED_REQUESTS,
        "health_check_period_s": HEALTH_PERIOD,
        "health_check_timeout_s": HEALTH_TIMEOUT,
        # Serve kills after this, so it must exceed the longest answer; an engine that hangs is ended by its replica.
        "graceful_shutdown_timeout_s": rollout.drain_seconds + HEALTH_TIMEOUT,
        "graceful_shutdown_wait_loop_s": 0.2,
        "max_constructor_retry_count": CONSTRUCTOR_ATTEMPTS,
        "logging_config": quiet,
    }
