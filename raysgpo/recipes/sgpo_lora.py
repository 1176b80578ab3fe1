"""SGPO on one GPU of 24 GB: adapters beside Qwen2.5-1.5B-Instruct, sampled and trained on the same GPU.

``python jobs/train.py sgpo_lora task.path=train.jsonl --dry-run``

No paper has this: rank and learning rate are what is usual with LoRA, the rest is that of ``sgpo_7b``, made smaller.
With S = 0 sampling and training take turns, so neither slows the other; each has a half of the memory.
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


def sgpo_lora() -> Config:
    return Config(
        name="sgpo-lora",
        model="Qwen/Qwen2.5-1.5B-Instruct",
        epochs=3,
        prompts_per_step=32,
        gpu_gib=24,
        task=TaskConfig(kind="math", path="train.jsonl"),
        algorithm=AlgorithmConfig(partial_credit=PartialCreditConfig(kind="sgpo"), kl_coefficient=0.001),
        judge=JudgeConfig(kind="endpoint", base_url="https://api.openai.com/v1", model="o4-mini", epochs=1, votes=4),
        sampling=SamplingConfig(group_size=8, max_tokens=2048),
        rollout=RolloutConfig(cpus=2, gpus=0.5, engine={"gpu_memory_utilization": 0.45}),
        trainer=TrainerConfig(cpus=2, gpus=0.5, lora_rank=32, tokens_per_micro_batch=8192),
        optimizer=OptimizerConfig(lr=2e-5),
        evaluation=EvaluationConfig(every=20, prompts=128),
        checkpoint=CheckpointConfig(every=20),
    )
