"""SGPO's online runs at 7B, on one node of eight H100: DeepSeek-R1-Distill-Qwen-7B on AIME 1997 to 2023.

``python jobs/train.py sgpo_7b task.path=train_aime.jsonl --dry-run``; rows without a ``year``: ``task.where=null``

Model, data, group size, length, epochs, judge and judged epochs are the paper's (arXiv 2505.11595, section 4.2); its
judges vote in table 4 alone (``judge.votes=4``). Learning rate and KL penalty are verl's defaults, which it names;
prompts a step, updates, temperature (1) and clip (0.2) it does not print, and S = 1 is ours. GRPO: ``algorithm=grpo``.
"""

from __future__ import annotations

from raysgpo.config import (
    AlgorithmConfig,
    CheckpointConfig,
    Config,
    EvaluationConfig,
    JudgeConfig,
    OptimizerConfig,
    PartialCreditConfig,
    RolloutConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def sgpo_7b() -> Config:
    return Config(
        name="sgpo-7b",
        model="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
        epochs=12,
        prompts_per_step=128,
        max_staleness=1,
        task=TaskConfig(kind="math", path="train_aime.jsonl", where="1997 <= year <= 2023"),
        algorithm=AlgorithmConfig(partial_credit=PartialCreditConfig(kind="sgpo"), kl_coefficient=0.001),
        judge=JudgeConfig(
            kind="endpoint", base_url="https://api.openai.com/v1", model="o4-mini", epochs=3, concurrency=64
        ),
        sampling=SamplingConfig(group_size=8, max_tokens=8192),
        rollout=RolloutConfig(replicas=4, cpus=4, gpus=1),
        trainer=TrainerConfig(workers=4, cpus=4, gpus=1, tokens_per_micro_batch=16_384),
        optimizer=OptimizerConfig(lr=1e-6, updates_per_step=2),
        evaluation=EvaluationConfig(every=10, prompts=64),
        checkpoint=CheckpointConfig(every=20),
    )
