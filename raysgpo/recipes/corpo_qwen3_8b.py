"""CoRPO's verifier at the paper's size (table 1), on one node of eight H100: Qwen3-8B rates two responses.

``python jobs/train.py corpo_qwen3_8b task.path=pairs.jsonl task.eval_path=validation.jsonl --dry-run``

``jobs/make_pairs.py`` makes both files (docs/verifier.md). The paper (arXiv 2511.04439, section 4.1) says: model, 4,890
pairs, prompts of at most 4,096 and sequences of at most 16,384 tokens, 64 x 8 rollouts a step, one update each, groups
of equal rewards dropped, no KL and no entropy bonus, learning rate 1e-6 after 10 steps of linear warm-up, temperature
1, pass@16. It leaves open, and here is:

- R_min_correct: ln 0.5, a judgement no worse than a coin flip; sign, scale and clamp of the reward (docs/verifier.md);
- how long: 2 epochs, 153 steps;
- the scale: none for CoRPO and static, the group's standard deviation for GRPO, as those are defined;
- whether Qwen3 thinks: as its chat template has it, which is that it does;
- the hardware: four GPUs sample, four train.

GRPO: ``algorithm=grpo``; the static baseline: ``algorithm=static``.
"""

from __future__ import annotations

from raysgpo.config import (
    AlgorithmConfig,
    CheckpointConfig,
    Config,
    EvaluationConfig,
    JudgeConfig,
    OptimizerConfig,
    RolloutConfig,
    SamplingConfig,
    TaskConfig,
    TrainerConfig,
)


def corpo_qwen3_8b() -> Config:
    return Config(
        name="corpo-qwen3-8b",
        model="Qwen/Qwen3-8B",
        epochs=2,
        prompts_per_step=64,
        task=TaskConfig(
            kind="verifier",
            path="pairs.jsonl",
            eval_path="validation.jsonl",
            max_prompt_tokens=4096,
            failed_grading="drop",
        ),
        algorithm=AlgorithmConfig(**AlgorithmConfig.presets["corpo"], keep="reward_variance", force_keep=True),
        judge=JudgeConfig(kind="none"),
        sampling=SamplingConfig(group_size=8, max_tokens=12_288, temperature=1.0),
        rollout=RolloutConfig(replicas=4, cpus=4, gpus=1),
        trainer=TrainerConfig(workers=4, cpus=4, gpus=1, tokens_per_micro_batch=16_384),
        optimizer=OptimizerConfig(lr=1e-6, warmup_steps=10),
        evaluation=EvaluationConfig(every=25, prompts="all", temperature=1.0, samples=16, samples_temperature=1.0),
        checkpoint=CheckpointConfig(every=25),
    )
