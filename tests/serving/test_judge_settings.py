"""What the judge's settings become for Ray Serve and vLLM, without starting either."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import JudgeConfig
from raysgpo.serving.judge_replicas import _bundles, _download, _engine


def judge(**settings: Any) -> JudgeConfig:
    return JudgeConfig.model_validate({"kind": "replicas", "model": "m", **settings})


@pytest.mark.parametrize(
    ("settings", "bundles"),
    [
        ({"cpus": 0.25}, [{"CPU": 0.25}]),
        ({"cpus": 2, "gpus": 0.5}, [{"CPU": 2, "GPU": 0.5}]),
        ({"cpus": 8, "gpus": 4}, [{"CPU": 2, "GPU": 1}] * 4),
    ],
)
def test_what_a_replica_reserves(settings: dict[str, Any], bundles: list[dict[str, float]]) -> None:
    assert _bundles(judge(**settings)) == bundles


def test_a_judge_of_several_gpus_is_sharded_over_them_unless_told_otherwise() -> None:
    assert _engine(judge(gpus=4))["tensor_parallel_size"] == 4
    assert _engine(judge(gpus=4, engine={"tensor_parallel_size": 2}))["tensor_parallel_size"] == 2
    assert "tensor_parallel_size" not in _engine(judge(gpus=1))


def test_the_engine_on_cpu_is_the_rollouts() -> None:
    arguments = _engine(judge(kv_cache_gib=0.5, max_model_len=300))
    assert (arguments["kv_cache_memory_bytes"], arguments["max_model_len"]) == (2**29, 300)
    assert arguments["enforce_eager"] and not arguments["enable_chunked_prefill"]


def test_a_folder_is_not_downloaded_and_a_model_of_the_hub_is(tmp_path: Path) -> None:
    assert _download(judge(model="Qwen/Qwen3-8B")) == {}
    module, _, name = _download(judge(model=str(tmp_path)))["callback_config"]["callback_class"].rpartition(".")
    callback = getattr(importlib.import_module(module), name)(llm_config=None)
    assert callback.ctx.run_init_node
    asyncio.run(callback.run_callback("on_before_node_init"))
    assert not callback.ctx.run_init_node
