"""G2RPO-A on code (tables 5, 8, 11), on eight A100 of 80 GB: Qwen3-1.7B, every answer guided.

``python jobs/train.py g2rpo_a_code task.path=programs.jsonl task.eval_path=humaneval.jsonl --dry-run``

The paper's other models: ``model=Qwen/Qwen3-0.6B guidance.ratio=0.75``, and at 8B
``model=Qwen/Qwen3-8B guidance.ratio=0.57 sampling.group_size=7``. The rows need ``tests``, ``solution``, the reasoning
with its program that is given, and ``difficulty``: the paper orders from easy to hard and names tiers for mathematics
alone, so here a number orders. The rest, with what else the paper leaves open, is that of ``g2rpo_a_0_6b``. GRPO:
``guidance=none``.
"""

from __future__ import annotations

from raysgpo.config import Config, CurriculumConfig, TaskConfig
from raysgpo.recipes.g2rpo_a_0_6b import g2rpo_a_0_6b


def g2rpo_a_code() -> Config:
    small = g2rpo_a_0_6b()
    return small.model_copy(
        update={
            "name": "g2rpo-a-code",
            "model": "Qwen/Qwen3-1.7B",
            "task": TaskConfig(kind="code", path="programs.jsonl", eval_path="humaneval.jsonl"),
            "curriculum": CurriculumConfig(**CurriculumConfig.presets["difficulty"]),
            "guidance": small.guidance.model_copy(update={"ratio": 1.0}),
        }
    )
