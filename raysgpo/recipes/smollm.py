"""A real language model of 135 million parameters on sums that it can begin to do, with SGPO, on a laptop.

``make model`` once, then ``python jobs/train.py smollm``
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


def smollm() -> Config:
    return Config(
        name="smollm",
        model="smollm2",
        steps=40,
        prompts_per_step=8,
        task=TaskConfig(
            kind="arithmetic",
            prompts=400,
            terms=(3,),
            operators="+",
            system="You add small numbers. Write one operation a line, then #### and the result.",
            examples=4,
        ),
        algorithm=AlgorithmConfig(partial_credit=PartialCreditConfig(kind="sgpo")),
        judge=JudgeConfig(kind="rule"),
        sampling=SamplingConfig(group_size=8, max_tokens=32),
        optimizer=OptimizerConfig(lr=2e-5, warmup_steps=2),
        rollout=RolloutConfig(replicas=1, cpus=0.5),
        trainer=TrainerConfig(workers=1, cpus=0.5, tokens_per_micro_batch=2048),
        evaluation=EvaluationConfig(every=20, prompts=100),
        checkpoint=CheckpointConfig(every=10, keep=1),
    )
