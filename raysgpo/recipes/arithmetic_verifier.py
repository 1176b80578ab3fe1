"""The verifier task on a laptop: CoRPO on two worked solutions of a chain of arithmetic. Which is right?"""

from __future__ import annotations

from raysgpo.config import (
    AlgorithmConfig,
    Config,
    EvaluationConfig,
    JudgeConfig,
    OptimizerConfig,
    RolloutConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def arithmetic_verifier() -> Config:
    return Config(
        name="arithmetic-verifier",
        model="tiny",
        steps=60,
        prompts_per_step=32,
        task=TaskConfig(kind="arithmetic_verifier", prompts=1024, terms=(3,), failed_grading="drop"),
        algorithm=AlgorithmConfig(**AlgorithmConfig.presets["corpo"]),
        judge=JudgeConfig(kind="none"),
        sampling=SamplingConfig(group_size=8, max_tokens=80),
        optimizer=OptimizerConfig(lr=1e-4, warmup_steps=10),
        rollout=RolloutConfig(replicas=1, cpus=0.5),
        trainer=TrainerConfig(workers=1, cpus=0.5, tokens_per_micro_batch=4096),
        evaluation=EvaluationConfig(every=15, prompts=256, temperature=1.0, samples=4, samples_temperature=1.0),
    )
