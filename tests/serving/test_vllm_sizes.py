"""How many answers vLLM takes at once, and how they share their prompt, is what the caches and plans count with."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import RolloutConfig
from raysgpo.config.engine_parts import CPU_BLOCK, MOST_ON_CPU
from raysgpo.serving.engine import VllmEngine
from tests.serving.test_vllm import random_policy, save

pytestmark = pytest.mark.slow


class Captured(Exception): ...


def test_an_engine_has_the_sizes_of_offline_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.v1.engine.async_llm import AsyncLLM

    asked: dict[str, Any] = {}

    def capture(arguments: Any, **context: Any) -> None:
        asked["config"] = arguments.create_engine_config(**context)
        raise Captured

    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(AsyncLLM, "from_engine_args", capture)
    rollout = RolloutConfig(max_model_len=400, kv_cache_gib=0.1)
    with pytest.raises(Captured):
        asyncio.run(VllmEngine(save(random_policy(0), tmp_path), rollout).start())
    scheduler, cache = asked["config"].scheduler_config, asked["config"].cache_config
    assert scheduler.max_num_seqs == MOST_ON_CPU == 256
    assert scheduler.max_num_batched_tokens == 4096
    assert cache.block_size == CPU_BLOCK and cache.enable_prefix_caching
