"""Real input: rows of question, answer and solution from JSONL, graded by math-verify.

``python jobs/train.py math task.path=train_gsm8k.jsonl model=PATH``
"""

from __future__ import annotations

from raysgpo.config import (
    CheckpointConfig,
    Config,
    EvaluationConfig,
    OptimizerConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def math() -> Config:
    return Config(
        name="math",
        model="tiny",
        task=TaskConfig(kind="math", path="train.jsonl", format_reward=0.1),
        sampling=SamplingConfig(group_size=8, max_tokens=256),
        optimizer=OptimizerConfig(lr=1e-6, warmup_steps=10),
        trainer=TrainerConfig(tokens_per_micro_batch=8192),
        evaluation=EvaluationConfig(every=10, prompts=64),
        checkpoint=CheckpointConfig(every=10),
    )
