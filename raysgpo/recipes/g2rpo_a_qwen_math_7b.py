"""Guidance of a fixed length (G2RPO-A, tables 1 and 2), on eight A100 of 80 GB: Qwen2.5-Math-7B on s1K-1.1, one epoch.

``python jobs/train.py g2rpo_a_qwen_math_7b task.path=s1k.jsonl task.eval_path=math500.jsonl --dry-run``

The paper (arXiv 2508.13023, section 4.2) says: model, data, G = 6, one epoch; length and ratio are the cells of its
table, here the best one: l = 500 in one answer of six. Table 1 is ``guidance.length=50`` (100, 200, 500) with
``guidance.ratio=0.8334`` (0.5, 0.1667, 1); table 2 is ``guidance.schedule=linear``, ``concave`` or ``stepwise``.
It leaves open, and here is: the order (random: the rows of s1K have no tier), the longest answer (3,072 tokens, as the
model takes 4,096), and b, g and s of eq. 4 (2, 0.5 and every 10 steps, our defaults). The rest, with what else is left
open, is that of ``g2rpo_a_0_6b``. GRPO: ``guidance=none``.
"""

from __future__ import annotations

from raysgpo.config import Config, CurriculumConfig, GuidanceConfig
from raysgpo.recipes.g2rpo_a_0_6b import g2rpo_a_0_6b


def g2rpo_a_qwen_math_7b() -> Config:
    small = g2rpo_a_0_6b()
    return small.model_copy(
        update={
            "name": "g2rpo-a-qwen-math-7b",
            "model": "Qwen/Qwen2.5-Math-7B",
            "epochs": 1.0,
            "task": small.task.model_copy(update={"path": "s1k.jsonl"}),
            "curriculum": CurriculumConfig(),
            "guidance": GuidanceConfig(**GuidanceConfig.presets["guided"], ratio=1 / 6, length=500),
            "sampling": small.sampling.model_copy(update={"group_size": 6, "max_tokens": 3072}),
            "evaluation": small.evaluation.model_copy(update={"every": 12, "max_tokens": 3072}),
        }
    )
