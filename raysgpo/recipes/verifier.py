"""The explanatory verifier of CoRPO's paper: rows of a question and two responses, rated by the policy.

``python jobs/train.py verifier task.path=pairs.jsonl model=PATH``
"""

from __future__ import annotations

from raysgpo.config import (
    AlgorithmConfig,
    CheckpointConfig,
    Config,
    EvaluationConfig,
    JudgeConfig,
    OptimizerConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def verifier() -> Config:
    """Group size, batch, learning rate and filter are the paper's (arXiv 2511.04439, section 4.1)."""
    return Config(
        name="verifier",
        model="tiny",
        prompts_per_step=64,
        task=TaskConfig(kind="verifier", path="pairs.jsonl", failed_grading="drop"),
        algorithm=AlgorithmConfig(**AlgorithmConfig.presets["corpo"], keep="reward_variance", force_keep=True),
        judge=JudgeConfig(kind="none"),
        sampling=SamplingConfig(group_size=8, max_tokens=12288),
        optimizer=OptimizerConfig(lr=1e-6, warmup_steps=10),
        trainer=TrainerConfig(tokens_per_micro_batch=32768),
        evaluation=EvaluationConfig(every=10, prompts=64, temperature=1.0, samples=16, samples_temperature=1.0),
        checkpoint=CheckpointConfig(every=10),
    )
