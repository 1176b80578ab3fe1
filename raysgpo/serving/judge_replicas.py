"""Judge replicas on Ray Serve: a checkpoint behind vLLM's OpenAI-compatible server.

They have resources of their own and are never given the policy's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import SecretStr
from ray import serve

from raysgpo.config import JudgeConfig
from raysgpo.config.engine_parts import tensor_parts
from raysgpo.judging.address import JudgeAddress
from raysgpo.serving.application import Start, http_address, quiet_logging, start_serve, wait_until_running
from raysgpo.serving.autoscaling import replica_options
from raysgpo.serving.engine import QUIET_ENVIRONMENT, cpu_arguments, cpu_environment, one_node
from raysgpo.serving.http_key import cluster_key
from raysgpo.serving.judge_server import JudgeServer
from raysgpo.serving.start_failure import EngineSettings

MODEL = "judge"
"""The name that the model is served under."""
WORKER_EXTENSION = "raysgpo.serving.judge_worker.JudgeWorker"
UNLIMITED_REQUESTS = 100_000
"""``judge.concurrency`` bounds them."""
REQUESTS_A_REPLICA = 64
"""Requests in flight for which Serve adds another replica."""


def start_judge(judge: JudgeConfig, name: str) -> JudgeAddress:
    """Begin to start the replicas of ``judge.model``; their address once they run.

    Raises:
        ConfigError: Serve runs on this cluster without HTTP.
    """
    assert judge.kind == "replicas", f"judge.kind={judge.kind} needs no replicas"
    start_serve(http=True)
    deployment = serve.deployment(serve.ingress()(JudgeServer)).options(**_deployment_options(judge))
    application = deployment.bind(_arguments(judge), judge.core_process)
    target = serve.RunTarget(application, name=name, route_prefix=f"/{name}", logging_config=quiet_logging())
    serve.run_many([target], wait_for_applications_running=False)
    return JudgeAddress(f"{http_address()}/{name}/v1", MODEL, SecretStr(cluster_key()))


def wait_for_judge(judge: JudgeConfig, name: str, report: Callable[[str], None]) -> None:
    """Return once the replicas run; take them down if they do not.

    Raises:
        ConfigError: an engine cannot start with these settings.
        RuntimeError: the replicas failed to start.
        TimeoutError: they were not up within ``judge.start_deadline``.
    """
    needs = f"{judge.replicas[0]} replicas need {judge.cpus:g} CPU and {judge.gpus:g} GPU each"
    engine = EngineSettings("judge", f"judge.model={judge.model}", judge.gpus, judge.kv_cache_gib, judge.engine)
    wait_until_running(
        Start(name, "judge replicas", judge.start_seconds, "judge.start_deadline", needs, engine), report
    )


def _deployment_options(judge: JudgeConfig) -> dict[str, Any]:
    environment = QUIET_ENVIRONMENT | (cpu_environment(judge.threads) if judge.gpus == 0 else {})
    return {
        "name": MODEL,
        **replica_options(judge.replicas, target_ongoing_requests=REQUESTS_A_REPLICA),
        "ray_actor_options": {
            "num_cpus": judge.cpus,
            "num_gpus": judge.gpus,
            "label_selector": judge.label_selector or {},
            "runtime_env": {"env_vars": environment},
        },
        "max_ongoing_requests": UNLIMITED_REQUESTS,
        "logging_config": quiet_logging(),
    }


def _arguments(judge: JudgeConfig) -> dict[str, Any]:
    """vLLM's; ``judge.engine`` has the last word."""
    arguments: dict[str, Any] = {
        "model": judge.model,
        "served_model_name": [MODEL],
        "max_model_len": judge.max_model_len,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if judge.gpus == 0:
        assert judge.kv_cache_gib is not None, "the preparation fills it in"
        arguments |= cpu_arguments(judge.kv_cache_gib)
    elif judge.gpus > 1:
        arguments["tensor_parallel_size"] = tensor_parts(judge.gpus, judge.engine)
    return one_node(arguments | {"worker_extension_cls": WORKER_EXTENSION} | judge.engine)
