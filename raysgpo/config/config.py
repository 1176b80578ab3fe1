"""The whole tree, and the combinations that are impossible."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from raysgpo.config.algorithm import AlgorithmConfig
from raysgpo.config.curriculum import CurriculumConfig, impossible_curriculum
from raysgpo.config.guidance import GuidanceConfig, impossible_guidance
from raysgpo.config.judge import JudgeConfig, impossible_judge
from raysgpo.config.records import CheckpointConfig, EvaluationConfig, RecordsConfig
from raysgpo.config.rollout import RolloutConfig, SamplingConfig
from raysgpo.config.section import Section
from raysgpo.config.task import TaskConfig
from raysgpo.config.trainer import OptimizerConfig, TrainerConfig


class Config(Section):
    """Everything that a run depends on."""

    name: str = "run"
    """First part of the run folder's name."""
    seed: int = Field(0, ge=0)
    """Decides the order of the prompts and every sampling seed."""
    model: str = "tiny"
    """A Hugging Face checkpoint: a folder or a hub name. ``tiny`` is the embedded policy of jobs/sft.py."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps; None takes ``epochs``."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the training prompts, where ``steps`` is not given."""
    prompts_per_step: int = Field(32, ge=1)
    """P, groups sampled for one optimizer step."""
    max_staleness: int = Field(0, ge=0)
    """S, most optimizer steps between the weights that sampled a token and the step that trains on it."""
    storage: str = "~/raysgpo"
    """Folder under which runs are numbered (and the tiny models are cached). Shared by all nodes."""
    resume: str | None = None
    """A run folder to go on with, from its newest complete checkpoint."""

    task: TaskConfig = TaskConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    guidance: GuidanceConfig = GuidanceConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    judge: JudgeConfig = JudgeConfig()
    sampling: SamplingConfig = SamplingConfig()
    rollout: RolloutConfig = RolloutConfig()
    trainer: TrainerConfig = TrainerConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    records: RecordsConfig = RecordsConfig()

    @property
    def storage_root(self) -> Path:
        return Path(self.storage).expanduser().absolute()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse combinations that cannot work; each message names the key and the fix."""
        if self.algorithm.baseline == "mean" and self.sampling.group_size < 2:
            raise ValueError(
                "sampling.group_size=1 with algorithm.baseline=mean gives every answer an advantage "
                "of zero: set sampling.group_size to 2 or more, or algorithm.baseline=none"
            )
        if self.sampling.top_p < 1 or self.sampling.top_k > 0:
            raise ValueError(
                f"sampling.top_p={self.sampling.top_p} and sampling.top_k={self.sampling.top_k} cut the "
                "sampling distribution, so its logprobs no longer match the trainer's: "
                "leave sampling.top_p=1 and sampling.top_k=0 in training"
            )
        if self.algorithm.scale == "group_std" and self.algorithm.baseline == "none":
            raise ValueError(
                "algorithm.scale=group_std with algorithm.baseline=none is no known method: "
                "set algorithm.scale=none, or algorithm.baseline=mean"
            )
        if self.algorithm.partial_credit.kind != "none" and self.judge.kind == "none":
            raise ValueError(
                f"algorithm.partial_credit={self.algorithm.partial_credit.kind} needs a judge, but judge=none: "
                "set judge=tiny, rule, endpoint or replicas, or algorithm.partial_credit=none"
            )
        if (impossible := impossible_judge(self.judge)) is not None:
            raise ValueError(impossible)
        if (impossible := impossible_guidance(self.guidance, self.sampling.max_tokens)) is not None:
            raise ValueError(impossible)
        if (impossible := impossible_curriculum(self.curriculum)) is not None:
            raise ValueError(impossible)
        if self.judge.kind == "rule" and self.task.kind != "arithmetic" and self.needs_judge:
            raise ValueError(
                f"judge=rule can check the steps of task.kind=arithmetic only, not of {self.task.kind}: "
                "choose a model (judge=endpoint, judge=replicas), or set algorithm=grpo"
            )
        if self.task.kind == "math" and self.task.path is None:
            raise ValueError("task.kind=math needs task.path, a JSONL file of question, answer and solution")
        if set(self.task.operators) - set("+-*") or not self.task.operators:
            raise ValueError(f"task.operators={self.task.operators!r}: choose from + - *")
        if not self.task.terms or min(self.task.terms) < 2:
            raise ValueError(f"task.terms={list(self.task.terms)}: a chain needs 2 terms or more")
        return self

    @property
    def needs_judge(self) -> bool:
        return self.algorithm.partial_credit.kind != "none"
