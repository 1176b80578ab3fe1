"""Judge replicas: a checkpoint behind an OpenAI-compatible server on the cluster, by ``ray.serve.llm``.

They have resources of their own and are never given the policy's weights.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from ray import serve

from raysgpo.config import JudgeConfig
from raysgpo.config.engine_parts import tensor_parts
from raysgpo.config.overrides import ConfigError
from raysgpo.judging.address import JudgeAddress
from raysgpo.serving.application import Start, http_address, quiet_logging, start_serve, wait_until_running
from raysgpo.serving.autoscaling import replica_options
from raysgpo.serving.engine import QUIET_ENVIRONMENT, cpu_arguments, cpu_environment
from raysgpo.serving.http_key import cluster_key
from raysgpo.serving.start_failure import EngineSettings

MODEL = "judge"
"""The name that the model is served under."""
UNLIMITED_REQUESTS = 100_000
"""``judge.concurrency`` bounds them."""
REQUESTS_A_REPLICA = 64
"""Requests in flight for which Serve adds another replica."""


def start_judge(judge: JudgeConfig, name: str) -> JudgeAddress:
    """Begin to start the replicas of ``judge.model``; their address once they run.

    Raises:
        ConfigError: Serve runs on this cluster without HTTP, or ``judge.engine`` holds what it does not take.
    """
    assert judge.kind == "replicas", f"judge.kind={judge.kind} needs no replicas"
    start_serve(http=True)
    application = _application(judge)
    target = serve.RunTarget(application, name=name, route_prefix=f"/{name}", logging_config=quiet_logging())
    serve.run_many([target], wait_for_applications_running=False)
    return JudgeAddress(f"{http_address()}/{name}/v1", MODEL, SecretStr(cluster_key()))


def _application(judge: JudgeConfig) -> Any:
    with _root_logger_kept():
        from ray.serve.llm import build_openai_app  # seconds, which a run without judge replicas need not wait

        ingress = {
            "num_replicas": 1,
            "autoscaling_config": None,
            "max_ongoing_requests": UNLIMITED_REQUESTS,
            "ray_actor_options": {"num_cpus": 0},
            "logging_config": quiet_logging().model_dump(),
        }
        try:
            return build_openai_app({"llm_configs": [_llm_config(judge)], "ingress_deployment_config": ingress})
        except ValueError as error:
            lines = [line.strip() for line in str(error).splitlines()]
            raise ConfigError(f"the judge replicas cannot be described: {'; '.join(lines[:3])}") from error


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Importing ``ray.serve.llm`` gives the root logger a handler that writes JSON to the console."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


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


def _llm_config(judge: JudgeConfig) -> dict[str, Any]:
    """The fields of ``ray.serve.llm.LLMConfig``."""
    return dict(
        model_loading_config={"model_id": MODEL, "model_source": judge.model},
        engine_kwargs=_engine(judge),
        placement_group_config={"bundles": _bundles(judge), "strategy": "STRICT_PACK"},
        deployment_config={
            **replica_options(judge.replicas, target_ongoing_requests=REQUESTS_A_REPLICA),
            "max_ongoing_requests": UNLIMITED_REQUESTS,
            "ray_actor_options": {"num_cpus": 0},
            "logging_config": quiet_logging().model_dump(),
            **({"placement_group_bundle_label_selector": [judge.label_selector]} if judge.label_selector else {}),
        },
        **_download(judge),
        runtime_env={"env_vars": QUIET_ENVIRONMENT | (cpu_environment(judge.threads) if judge.gpus == 0 else {})},
        log_engine_metrics=False,
    )


def _download(judge: JudgeConfig) -> dict[str, Any]:
    """Nothing special for a model of a hub, and none for a folder."""
    local = judge.model is not None and Path(judge.model).is_dir()
    return {"callback_config": {"callback_class": "raysgpo.serving.local_model.LocalModel"}} if local else {}


def _engine(judge: JudgeConfig) -> dict[str, Any]:
    """vLLM's arguments; ``judge.engine`` has the last word."""
    arguments: dict[str, Any] = {"max_model_len": judge.max_model_len, "disable_log_stats": True}
    if judge.gpus == 0:
        assert judge.kv_cache_gib is not None, "the preparation fills it in"
        arguments |= cpu_arguments(judge.kv_cache_gib) | {
            "worker_extension_cls": "raysgpo.serving.idle_worker.IdleWorker",
            "scheduler_cls": "raysgpo.serving.idle_worker.IdleScheduler",
        }
    elif judge.gpus > 1:
        arguments["tensor_parallel_size"] = tensor_parts(judge.gpus, judge.engine)
    return arguments | judge.engine


def _bundles(judge: JudgeConfig) -> list[dict[str, float]]:
    """What Ray reserves for one replica: a bundle a GPU, or one of CPUs alone."""
    if judge.gpus <= 1:
        return [{name: amount for name, amount in (("CPU", judge.cpus), ("GPU", judge.gpus)) if amount}]
    gpus = int(judge.gpus)
    return [{"CPU": judge.cpus / gpus, "GPU": 1} for _ in range(gpus)]
