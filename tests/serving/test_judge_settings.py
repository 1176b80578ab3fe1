"""What the judge's settings become for Ray Serve and vLLM, without starting either."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import JudgeConfig
from raysgpo.serving.judge_replicas import WORKER_EXTENSION, _arguments, _deployment_options


def judge(**settings: Any) -> JudgeConfig:
    return JudgeConfig.model_validate({"kind": "replicas", "model": "m", **settings})


@pytest.mark.parametrize(("cpus", "gpus"), [(0.25, 0), (2, 0.5), (8, 4)])
def test_what_a_replica_reserves(cpus: float, gpus: float) -> None:
    reserved = _deployment_options(judge(cpus=cpus, gpus=gpus))["ray_actor_options"]
    assert (reserved["num_cpus"], reserved["num_gpus"]) == (cpus, gpus)


def test_a_judge_of_several_gpus_is_sharded_over_them_unless_told_otherwise() -> None:
    assert _arguments(judge(gpus=4))["tensor_parallel_size"] == 4
    assert _arguments(judge(gpus=4, engine={"tensor_parallel_size": 2}))["tensor_parallel_size"] == 2
    assert "tensor_parallel_size" not in _arguments(judge(gpus=1))


def test_the_engine_on_cpu_is_the_rollouts() -> None:
    arguments = _arguments(judge(kv_cache_gib=0.5, max_model_len=300))
    assert (arguments["kv_cache_memory_bytes"], arguments["max_model_len"]) == (2**29, 300)
    assert arguments["enforce_eager"] and not arguments["enable_chunked_prefill"]


def test_the_model_has_no_process_of_its_own_beside_the_engine_unless_it_is_sharded() -> None:
    assert _arguments(judge(kv_cache_gib=0.5))["distributed_executor_backend"] == "uni"
    assert _arguments(judge(gpus=2))["distributed_executor_backend"] == "mp"


def test_a_user_has_the_last_word_and_the_server_s_arguments_too() -> None:
    arguments = _arguments(judge(gpus=1, engine={"reasoning_parser": "qwen3", "max_model_len": 7}))
    assert (arguments["reasoning_parser"], arguments["max_model_len"]) == ("qwen3", 7)


def test_the_worker_s_extension_is_where_it_is_said_to_be() -> None:
    module, _, name = WORKER_EXTENSION.rpartition(".")
    source = Path(str(find_spec(module).origin)).read_text()  # type: ignore[union-attr]
    assert f"class {name}:" in source, "not imported: it would end this process with its parent"
