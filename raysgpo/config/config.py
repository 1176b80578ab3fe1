"""The whole tree, and the combinations that are impossible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from raysgpo.config.algorithm import AlgorithmConfig, impossible_algorithm
from raysgpo.config.cluster import ClusterConfig
from raysgpo.config.curriculum import CurriculumConfig, impossible_curriculum
from raysgpo.config.engine_parts import impossible_parts
from raysgpo.config.guidance import GuidanceConfig, impossible_guidance
from raysgpo.config.judge import JudgeConfig, impossible_judge
from raysgpo.config.offline import OfflineConfig, impossible_offline
from raysgpo.config.places import RunStorage, Storage, in_store, user_path
from raysgpo.config.records import CheckpointConfig, EvaluationConfig, RecordsConfig
from raysgpo.config.reward import RewardConfig
from raysgpo.config.rollout import RolloutConfig, SamplingConfig
from raysgpo.config.run_name import checked_name
from raysgpo.config.section import MOST_EPOCHS, Section
from raysgpo.config.task import TaskConfig, impossible_task
from raysgpo.config.task_kinds import TASK_KINDS
from raysgpo.config.trainer import OptimizerConfig, TrainerConfig, impossible_optimizer
from raysgpo.user_code.code import clash


class Config(Section):
    """Everything that a run depends on."""

    name: Annotated[str, AfterValidator(checked_name)] = "run"
    """First part of the run folder's name, in letters of any script."""
    mode: Literal["online", "offline"] = "online"
    """``online`` samples while it trains; ``offline`` trains on a file of groups. The command sets it."""
    seed: int = Field(0, ge=0)
    """Decides the order of the prompts and every sampling seed."""
    model: str = "tiny"
    """A Hugging Face checkpoint: a folder or a hub name. ``tiny`` is the embedded policy of jobs/sft.py, ``tiny_long``
    the one for chains of eight terms, ``smollm2`` a real one of 135 million parameters (``make model``)."""
    steps: int | None = Field(None, ge=0)
    """Optimizer steps; None takes ``epochs``, and 0 evaluates ``model`` without training it."""
    epochs: float = Field(1.0, gt=0, le=MOST_EPOCHS)
    """Passes over the training prompts, where ``steps`` is not given. What ``algorithm.refill`` adds is not counted."""
    prompts_per_step: int = Field(32, ge=1)
    """P, groups sampled for one optimizer step."""
    max_staleness: int = Field(0, ge=0)
    """S, most optimizer steps between the weights that sampled a token and the step that trains on it."""
    max_restarts: int = Field(3, ge=0)
    """How often within an hour a run whose parts failed starts again from its last checkpoint by itself."""
    gpu_gib: float = Field(79.0, gt=0)
    """Memory of one GPU of the cluster, GiB: what ``--dry-run`` plans with [an H100 of 80 GB]."""
    storage: RunStorage = "~/raysgpo"
    """Where runs are numbered: a folder that all nodes share, or a place in an object store, ``s3://BUCKET/PREFIX`` or
    ``gs://BUCKET/PREFIX``, with keys, region and endpoint from the environment."""
    scratch: Storage = "~/raysgpo"
    """Where ``storage`` is in an object store: the folder, on each node's own disk, in which a run is put together and
    models of a store are kept."""
    model_cache: Storage = "~/.cache/raysgpo"
    """Folder in which embedded models (``tiny``, ``tiny_long``, ``smollm2``) are made once. Shared by all nodes."""
    resume: str | None = None
    """A run to go on with, from its newest complete checkpoint: its folder or its name. ``auto``, beside the words that
    start a run, goes on with the newest run of that ``name``, and starts one if there is none."""

    task: TaskConfig = TaskConfig()
    reward: RewardConfig = RewardConfig()
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
    cluster: ClusterConfig = ClusterConfig()
    offline: OfflineConfig = OfflineConfig()

    @property
    def evaluation_tokens(self) -> int:
        """Longest answer of an evaluation."""
        return self.evaluation.max_tokens or self.sampling.max_tokens

    @property
    def storage_root(self) -> Path:
        """The folder under which runs are numbered, or put together."""
        return user_path(self.scratch if in_store(self.storage) else self.storage).absolute()

    @property
    def store(self) -> str | None:
        """The address under which runs are numbered; None where they are kept in a folder alone."""
        return self.storage if in_store(self.storage) else None

    @property
    def model_cache_root(self) -> Path:
        return user_path(self.model_cache).absolute()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse combinations that cannot work; each message names the key and the fix."""
        if (
            impossible := impossible_algorithm(self.algorithm, self.sampling.group_size, self.task.row.threshold)
        ) is not None:
            raise ValueError(impossible)
        if self.sampling.top_p < 1 or self.sampling.top_k > 0:
            raise ValueError(
                f"sampling.top_p={self.sampling.top_p} and sampling.top_k={self.sampling.top_k} cut the "
                "sampling distribution, so its logprobs no longer match the trainer's: "
                "leave sampling.top_p=1 and sampling.top_k=0 in training"
            )
        if self.algorithm.partial_credit.kind != "none" and self.judge.kind == "none":
            raise ValueError(
                f"algorithm.partial_credit={self.algorithm.partial_credit.kind} needs a judge, but judge=none: "
                "set judge=tiny, rule, endpoint or replicas, or algorithm.partial_credit=none"
            )
        if self.rollout.delta and self.broadcast is None:
            raise ValueError(
                "rollout.delta=true, but nothing is broadcast (rollout.transport="
                f"{self.rollout.transport}): set rollout.transport=broadcast, or rollout.delta=false"
            )
        if self.steps == 0 and (self.mode == "offline" or self.evaluation.every == 0):
            raise ValueError(
                "steps=0 evaluates a model and trains nothing: set evaluation.every to 1 or more, and leave it to "
                "an online run"
            )
        if self.evaluation.prompts == "all" and (self.task.row.fields is None or self.task.eval_path is None):
            raise ValueError(
                "evaluation.prompts=all holds out every row of task.eval_path, and there is none: set task.eval_path, "
                "or evaluation.prompts to a number"
            )
        if self._without_signal:
            raise ValueError(
                "offline.keep=all_negative with algorithm.partial_credit=none teaches nothing: the rewards of such a "
                "group are all equal; set algorithm=sgpo and a judge, or offline.keep=positive"
            )
        if (impossible := impossible_optimizer(self.optimizer, self.prompts_per_step)) is not None:
            raise ValueError(impossible)
        if (impossible := impossible_judge(self.judge)) is not None:
            raise ValueError(impossible)
        if (impossible := impossible_parts("rollout", self.rollout.gpus, self.rollout.engine)) is not None:
            raise ValueError(impossible)
        if (impossible := impossible_parts("judge", self.judge.gpus, self.judge.engine)) is not None:
            raise ValueError(impossible)
        if (impossible := impossible_guidance(self.guidance, self.sampling.max_tokens)) is not None:
            raise ValueError(impossible)
        if (impossible := impossible_curriculum(self.curriculum)) is not None:
            raise ValueError(impossible)
        impossible = impossible_offline(self.offline, self.guidance, self.curriculum, self.algorithm)
        if self.mode == "offline" and impossible is not None:
            raise ValueError(impossible)
        if self.mode == "offline" and self.store is not None:
            raise ValueError(
                f"storage={self.storage}: an offline run keeps its phases in files: set storage to a folder that all "
                "nodes share"
            )
        if self.mode == "offline" and (self.task.system or self.task.examples):
            raise ValueError(
                "task.system and task.examples are of online runs: an offline run encodes the prompts of its file as "
                "they stand there; leave them out"
            )
        if self.task.row.judgement and (self.guidance.on or self.algorithm.partial_credit.kind != "none"):
            raise ValueError(
                f"task.kind={self.task.kind} takes neither guidance nor partial credit: its reasoning ends in the "
                "verdict, which guidance would give away, and its rewards are ordinal already; set guidance=none "
                "and algorithm=grpo, static or corpo"
            )
        if self.judge.kind == "rule" and not self.task.row.steps_by_rule and self.needs_judge:
            checked = " and ".join(name for name, row in TASK_KINDS.items() if row.steps_by_rule)
            raise ValueError(
                f"judge=rule can check the steps of task.kind={checked} only, not of {self.task.kind}: "
                "choose a model (judge=endpoint, judge=replicas), or set algorithm=grpo"
            )
        if (impossible := impossible_task(self.task)) is not None:
            raise ValueError(impossible)
        if self.task.code is not None and self.reward.code is not None:
            impossible = clash(self.task.code, self.reward.code)
            if impossible is not None:
                raise ValueError(f"task={self.task.kind}, reward={self.reward.function}: {impossible}")
        return self

    @property
    def groups_under_way(self) -> int:
        """(S + 1) P: the most that an online run samples at a time, what ``algorithm.refill`` adds not counted."""
        return (self.max_staleness + 1) * self.prompts_per_step

    @property
    def refill_limit(self) -> int:
        """A step takes at most this many times ``prompts_per_step`` positions of the stream."""
        return self.algorithm.refill_limit if self.algorithm.refill else 1

    @property
    def weights_dtype(self) -> Literal["float32", "bfloat16"]:
        """That weights travel in: where either side computes in bfloat16 the other half of each number is not seen."""
        engine = self.rollout.engine.get("dtype", self.rollout.dtype)
        return "bfloat16" if "bfloat16" in (self.trainer.dtype, engine) else "float32"

    @property
    def broadcast(self) -> Literal["gloo", "nccl"] | None:
        """What new weights are broadcast by (``rollout.transport``); None: every replica reads them by itself."""
        gpus = self.trainer.gpus >= 1 and self.rollout.gpus >= 1  # NCCL takes no GPU twice
        if self.rollout.transport == "store" or (self.rollout.transport == "auto" and not gpus):
            return None
        return "nccl" if gpus else "gloo"

    @property
    def needs_judge(self) -> bool:
        if self.steps == 0 or (self.mode == "offline" and self.offline.keep != "all_negative"):
            return False
        return self.algorithm.partial_credit.kind != "none"

    @property
    def _without_signal(self) -> bool:
        """Whether the run keeps groups of equal rewards alone, of which its baseline says nothing."""
        kept = self.mode == "offline" and self.offline.keep == "all_negative"
        equal = self.algorithm.partial_credit.kind == "none"
        return kept and equal and self.algorithm.compared_with.equal_is_zero
