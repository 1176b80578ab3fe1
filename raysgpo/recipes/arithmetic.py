"""The embedded default: SGPO on chained arithmetic with a tiny policy, on a laptop, in minutes."""

from __future__ import annotations

from raysgpo.config import (
    AlgorithmConfig,
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


def arithmetic() -> Config:
    return Config(
        name="arithmetic",
        model="tiny",
        steps=80,
        prompts_per_step=32,
        task=TaskConfig(kind="arithmetic", prompts=1024, terms=(4,)),
        algorithm=AlgorithmConfig(partial_credit=PartialCreditConfig(kind="sgpo")),
        judge=JudgeConfig(**JudgeConfig.presets["tiny"]),
        sampling=SamplingConfig(group_size=8, max_tokens=48),
        optimizer=OptimizerConfig(lr=1e-4, warmup_steps=10),
        rollout=RolloutConfig(replicas=1, cpus=0.5),
        trainer=TrainerConfig(workers=1, cpus=0.5, tokens_per_micro_batch=2048),
        evaluation=EvaluationConfig(every=20, prompts=512),
    )
