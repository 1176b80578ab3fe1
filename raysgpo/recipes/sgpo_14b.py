"""SGPO's online runs at 14B, on two nodes of eight H100: Qwen2.5-14B-Instruct; the rest is that of ``sgpo_7b``."""

from __future__ import annotations

from raysgpo.config import Config
from raysgpo.recipes.sgpo_7b import sgpo_7b


def sgpo_14b() -> Config:
    small = sgpo_7b()
    return small.model_copy(
        update={
            "name": "sgpo-14b",
            "model": "Qwen/Qwen2.5-14B-Instruct",
            "rollout": small.rollout.model_copy(update={"replicas": (8, 8)}),
            "trainer": small.trainer.model_copy(update={"workers": (8, 8)}),
        }
    )
