"""SGPO's offline run (table 1): Qwen2.5-14B-Instruct on its failures of LIMO's problems, on two nodes of eight H100.

``python jobs/offline.py sgpo_offline_limo task.path=limo.jsonl task.eval_path=math500.jsonl --dry-run``

The paper (arXiv 2505.11595, section 4.1) says: data, six answers a group sampled once, groups without a right one, 3
epochs, learning rate 2e-6. It leaves open, and here is: the judge (o4-mini, as online), the longest answer (8,192
tokens, as online), groups an update (32), KL (none) and the hardware (that of the online run at 14B). Its evaluation
reads 32,768 tokens, which is all that the model takes; 32,000 leave room for the prompt. The contrast is one word:
``offline.keep=positive``. At 32B, on four nodes: ``model=Qwen/Qwen2.5-32B-Instruct trainer.workers=16 rollout.gpus=2``.
"""

from __future__ import annotations

from raysgpo.config import (
    AlgorithmConfig,
    CheckpointConfig,
    Config,
    EvaluationConfig,
    JudgeConfig,
    OfflineConfig,
    OptimizerConfig,
    PartialCreditConfig,
    RolloutConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def sgpo_offline_limo() -> Config:
    return Config(
        name="sgpo-offline-limo",
        model="Qwen/Qwen2.5-14B-Instruct",
        prompts_per_step=32,
        task=TaskConfig(kind="math", path="limo.jsonl", eval_path="math500.jsonl"),
        algorithm=AlgorithmConfig(partial_credit=PartialCreditConfig(kind="sgpo")),
        judge=JudgeConfig(kind="endpoint", base_url="https://api.openai.com/v1", model="o4-mini", concurrency=64),
        sampling=SamplingConfig(group_size=6, max_tokens=8192),
        offline=OfflineConfig(passes=1, keep="all_negative", epochs=3),
        rollout=RolloutConfig(replicas=8, cpus=4, gpus=1),
        trainer=TrainerConfig(workers=8, cpus=4, gpus=1, tokens_per_micro_batch=16_384),
        optimizer=OptimizerConfig(lr=2e-6),
        evaluation=EvaluationConfig(prompts="all", max_tokens=32_000),
        checkpoint=CheckpointConfig(every=10),
    )
