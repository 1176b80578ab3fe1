"""SGPO's online run at 8B, on one node of eight H100: DeepSeek-R1-Distill-Llama-8B; the rest is that of ``sgpo_7b``.

``python jobs/train.py sgpo_llama_8b task.path=train_aime.jsonl --dry-run``, with the judge's key in ANTHROPIC_API_KEY

Claude 3.7 judges, as in the paper. For how many GPUs an 8B model has the paper's wording leaves a gap; these are the
eight of its 7B. GRPO: ``algorithm=grpo``.
"""

from __future__ import annotations

from raysgpo.config import Config
from raysgpo.recipes.sgpo_7b import sgpo_7b


def sgpo_llama_8b() -> Config:
    small = sgpo_7b()
    server = {
        "base_url": "https://api.anthropic.com/v1",
        "model": "claude-3-7-sonnet-20250219",
        "api_key_env": "ANTHROPIC_API_KEY",
    }
    return small.model_copy(
        update={
            "name": "sgpo-llama-8b",
            "model": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
            "judge": small.judge.model_copy(update=server),
        }
    )
