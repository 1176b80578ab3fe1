"""G2RPO-A on mathematics at 0.6B (tables 3, 6, 9, 10), on eight A100 of 80 GB: Qwen3-0.6B-Base, 3 of 4 answers guided.

``python jobs/train.py g2rpo_a_0_6b task.path=curriculum.jsonl task.eval_path=math500.jsonl --dry-run``

The rows need ``solution``, the reasoning that is given, and ``source``, the tier by which they are ordered. The paper
(arXiv 2508.13023, section 5.1) says: 1,000 problems, 5 epochs, G = 12, alpha, l0 = 3072, W = 2, learning rate 1e-6 with
cosine decay and warm-up ratio 0.1, the tiers, and how answers are drawn in the evaluation. It leaves open, and here is:

- prompts a step: 28, as of the one batch that it shows (figure 4: 280 answers, 10 a prompt);
- the longest answer: 4,096 tokens, guidance included, as in its public code (3,072 given, 1,024 of the policy's own);
- KL 0.04 and clip 0.2, the defaults of the framework that it names (Open-R1, on TRL); the temperature, 1;
- the largest length, 3,072: no answer is given more than it began with;
- the weight of the guidance's tokens in the loss: 0 (its formula is unreadable in our copy; its code has 1,
  ``guidance.loss_weight=1``).

GRPO, on the same prompts in the same order: ``guidance=none``. The post-trained model of table 4:
``model=Qwen/Qwen3-0.6B``.
"""

from __future__ import annotations

from raysgpo.config import (
    AlgorithmConfig,
    CheckpointConfig,
    Config,
    CurriculumConfig,
    EvaluationConfig,
    GuidanceConfig,
    JudgeConfig,
    OptimizerConfig,
    RolloutConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def g2rpo_a_0_6b() -> Config:
    return Config(
        name="g2rpo-a-0-6b",
        model="Qwen/Qwen3-0.6B-Base",
        epochs=5,
        prompts_per_step=28,
        task=TaskConfig(kind="math", path="curriculum.jsonl", eval_path="math500.jsonl"),
        curriculum=CurriculumConfig(**CurriculumConfig.presets["tier"]),
        guidance=GuidanceConfig(**GuidanceConfig.presets["g2rpo_a"], ratio=0.75, length=3072, max_length=3072),
        algorithm=AlgorithmConfig(aggregation="group-token-mean", kl_coefficient=0.04),
        judge=JudgeConfig(kind="none"),
        sampling=SamplingConfig(group_size=12, max_tokens=4096),
        rollout=RolloutConfig(replicas=4, cpus=4, gpus=1),
        trainer=TrainerConfig(workers=4, cpus=4, gpus=1, tokens_per_micro_batch=16_384),
        optimizer=OptimizerConfig(lr=1e-6, warmup_ratio=0.1, schedule="cosine"),
        evaluation=EvaluationConfig(every=60, prompts="all", temperature=0.6, top_p=0.95, top_k=20, max_tokens=25_000),
        checkpoint=CheckpointConfig(every=20),
    )
