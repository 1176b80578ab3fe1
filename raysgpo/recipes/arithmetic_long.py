"""Chains too long for the policy: it starts some answers from a part of the solution (G2RPO-A), on a laptop."""

from __future__ import annotations

from raysgpo.config import (
    Config,
    EvaluationConfig,
    GuidanceConfig,
    JudgeConfig,
    OptimizerConfig,
    RolloutConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def arithmetic_long() -> Config:
    return Config(
        name="arithmetic-long",
        model="tiny_long",
        steps=40,
        prompts_per_step=32,
        task=TaskConfig(kind="arithmetic", prompts=1024, terms=(8,)),
        # alpha is the paper's for its smallest model.
        guidance=GuidanceConfig(**GuidanceConfig.presets["g2rpo_a"], ratio=0.75),
        judge=JudgeConfig(kind="rule"),
        sampling=SamplingConfig(group_size=8, max_tokens=96),
        optimizer=OptimizerConfig(lr=1e-4, warmup_steps=10),
        rollout=RolloutConfig(replicas=1, cpus=0.5),
        trainer=TrainerConfig(workers=1, cpus=0.5, tokens_per_micro_batch=4096),
        evaluation=EvaluationConfig(every=10, prompts=512),
    )
