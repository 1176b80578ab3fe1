"""G2RPO-A on mathematics at 1.7B (tables 3, 6, 7, 9, 10), on eight A100 of 80 GB: Qwen3-1.7B-Base, 1 of 4 guided.

The rest, with what the paper leaves open, is that of ``g2rpo_a_0_6b``; GRPO: ``guidance=none``. The post-trained model
(table 4): ``model=Qwen/Qwen3-1.7B``.
"""

from __future__ import annotations

from raysgpo.config import Config
from raysgpo.recipes.g2rpo_a_0_6b import g2rpo_a_0_6b


def g2rpo_a_1_7b() -> Config:
    small = g2rpo_a_0_6b()
    return small.model_copy(
        update={
            "name": "g2rpo-a-1-7b",
            "model": "Qwen/Qwen3-1.7B-Base",
            "guidance": small.guidance.model_copy(update={"ratio": 0.25}),
        }
    )
