"""SGPO's online runs at 32B, on four nodes of eight H100: Qwen2.5-32B-Instruct; the rest is that of ``sgpo_7b``."""

from __future__ import annotations

from raysgpo.config import Config
from raysgpo.recipes.sgpo_7b import sgpo_7b


def sgpo_32b() -> Config:
    small = sgpo_7b()
    return small.model_copy(
        update={
            "name": "sgpo-32b",
            "model": "Qwen/Qwen2.5-32B-Instruct",
            "rollout": small.rollout.model_copy(update={"replicas": (8, 8), "gpus": 2}),
            "trainer": small.trainer.model_copy(update={"workers": (16, 16)}),
        }
    )
