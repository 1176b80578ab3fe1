"""G2RPO-A on mathematics at 8B (table 3), on eight A100 of 80 GB: Qwen3-8B-Base, one of seven answers guided.

The rest, with what the paper leaves open, is that of ``g2rpo_a_0_6b``; GRPO: ``guidance=none``.
"""

from __future__ import annotations

from raysgpo.config import Config
from raysgpo.recipes.g2rpo_a_0_6b import g2rpo_a_0_6b


def g2rpo_a_8b() -> Config:
    small = g2rpo_a_0_6b()
    return small.model_copy(
        update={
            "name": "g2rpo-a-8b",
            "model": "Qwen/Qwen3-8B-Base",
            "guidance": small.guidance.model_copy(update={"ratio": 0.14}),
            "sampling": small.sampling.model_copy(update={"group_size": 7}),
        }
    )
