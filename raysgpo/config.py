"""The configuration of a run: one frozen, typed tree.

A recipe in ``jobs/`` is a function that returns a :class:`Config`; the command line overrides it
with dotted keys (``sampling.temperature=0.7``); the run saves the result as ``config.yaml``. How
text becomes a Config (overrides, presets, files, error messages) is ``raysgpo.overrides``; this
file says what may be set, what it means, and which combinations are impossible.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """A group of settings. A section that has ``presets`` may be set to one word."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """What ``section=word`` stands for; every setting it names can still be overridden."""


class TaskConfig(Section):
    """Where the problems come from and how answers are graded."""

    kind: Literal["arithmetic", "math"] = "arithmetic"
    """``arithmetic`` is generated from a seed; ``math`` reads JSONL rows of question, answer and solution."""
    path: str | None = None
    """math: the JSONL file to train on."""
    eval_path: str | None = None
    """math: the JSONL file of held-out problems; None holds out ``evaluation.prompts`` rows of ``path``."""
    prompts: int = Field(1024, ge=1)
    """arithmetic: number of training prompts (one epoch)."""
    terms: tuple[int, ...] = (4,)
    """arithmetic: numbers of terms in a chain; the difficulty dial, drawn uniformly."""
    digits: int = Field(1, ge=1, le=4)
    """arithmetic: digits of a term."""
    operators: str = "+-"
    """arithmetic: the operators a chain is drawn from, out of ``+-*``."""
    seed: int = 0
    """arithmetic: seed of the generator, apart from the run's, so that seeds share their problems."""
    format_reward: float = Field(0.0, ge=0.0)
    """Reward part ``format``: given when the response states a final answer in the asked form."""
    grade_deadline: float = Field(5.0, gt=0)
    """Seconds for grading one response; past it the answer counts as wrong and is counted."""

    @field_validator("terms", mode="before")
    @classmethod
    def _one_or_many(cls, terms: Any) -> Any:
        """``task.terms=4`` is the common case of ``task.terms=[4]``."""
        return (terms,) if isinstance(terms, int) else terms


class PartialCreditConfig(Section):
    """What a wrong answer is worth (SGPO, arXiv 2505.11595, eq. 2)."""

    presets: ClassVar = {
        "none": {"kind": "none"},
        "sgpo": {"kind": "sgpo"},
        "raw": {"kind": "raw"},
    }

    kind: Literal["none", "sgpo", "raw"] = "none"
    """``sgpo``: the sigmoid of eq. 2; ``raw``: the RTS itself, capped below 1; ``none``: 0."""
    groups: Literal["all_negative", "all_wrong"] = "all_negative"
    """``all_negative``: only groups without a right answer [paper]; ``all_wrong``: every wrong response."""
    beta: float = Field(10.0, gt=0)
    """Intensity of eq. 2."""
    gamma: float = Field(0.5, ge=0, le=1)
    """Threshold of eq. 2: the RTS that is worth one half."""
    scale: float = Field(1.0, gt=0, le=1)
    """Multiplies a wrong answer's reward."""


class AlgorithmConfig(Section):
    """Rewards to advantages to loss. ``algorithm=grpo`` and ``algorithm=sgpo`` are presets."""

    presets: ClassVar = {
        "grpo": {
            "baseline": "mean",
            "scale": "group_std",
            "aggregation": "token-mean",
            "partial_credit": "none",
        },
        "sgpo": {
            "baseline": "mean",
            "scale": "group_std",
            "aggregation": "token-mean",
            "partial_credit": "sgpo",
        },
    }

    baseline: Literal["mean", "none"] = "mean"
    """What a reward is compared with: the group's mean (GRPO eq. 1) or nothing."""
    scale: Literal["group_std", "none"] = "group_std"
    """What the difference is divided by."""
    std_ddof: Literal[0, 1] = 1
    """1: sample standard deviation; 0: population (the theory of SGPO section 3.2)."""
    std_eps: float = Field(1e-6, ge=0)
    """Added to the standard deviation."""
    partial_credit: PartialCreditConfig = PartialCreditConfig()
    aggregation: Literal["token-mean", "sequence-mean", "group-token-mean", "constant"] = "token-mean"
    """How token losses become one number; the denominator is counted once for the whole step."""
    clip_low: float = Field(0.2, ge=0, lt=1)
    """The ratio is clipped below at 1 - clip_low."""
    clip_high: float = Field(0.2, ge=0)
    """The ratio is clipped above at 1 + clip_high."""
    kl_coefficient: float = Field(0.0, ge=0)
    """Weight of the k3 KL estimate to the frozen starting policy; 0 loads no reference model."""


class JudgeConfig(Section):
    """Who names the first wrong step of the answers of an all-negative group."""

    presets: ClassVar = {"none": {"kind": "none"}, "rule": {"kind": "rule"}}

    kind: Literal["none", "rule"] = "rule"
    """``rule`` checks each step by the task's own rule."""
    epochs: float = Field(3.0, ge=0)
    """Judge during the first this many epochs [paper: 3 of 12]; later groups keep plain rewards."""
    votes: int = Field(1, ge=1)
    """Independent judgements a response; the majority decides the position of the first error."""
    deadline: float = Field(30.0, gt=0)
    """Seconds for one judgement; past it the vote is lost and counted."""


class SamplingConfig(Section):
    """How answers are sampled for training."""

    group_size: int = Field(8, ge=1)
    """G, rollouts a prompt."""
    max_tokens: int = Field(64, ge=1)
    """Longest answer; past it the answer is cut off and counted as truncated."""
    temperature: float = Field(1.0, gt=0)
    """Divides the logits, in the sampler and in the trainer."""
    top_p: float = Field(1.0, gt=0, le=1)
    """1: the full distribution."""
    top_k: int = Field(0, ge=0)
    """0: the full vocabulary."""
    stop: tuple[str, ...] = ()
    """Strings that end an answer, beside the model's end-of-turn token."""


class RolloutConfig(Section):
    """The Ray Serve deployment that samples."""

    replicas: int = Field(1, ge=1)
    """Copies of the policy that sample, one engine each."""
    cpus: float = Field(0.5, ge=0)
    """CPUs that Ray reserves for one replica."""
    gpus: float = Field(0, ge=0)
    """GPUs that Ray reserves for one replica."""
    max_model_len: int | None = Field(None, ge=2)
    """Longest prompt plus answer, tokens; None takes the model's own limit."""
    engine: dict[str, Any] = {}
    """Further arguments of vLLM's AsyncEngineArgs, passed as they are."""
    kv_cache_gib: float = Field(0.5, gt=0)
    """CPU engine: memory of the key-value cache, GiB."""
    start_deadline: float = Field(300.0, gt=0)
    """Seconds for the replicas to come up."""
    sample_deadline: float = Field(300.0, gt=0)
    """Seconds for one group, from request to answers; past it the group is sampled again."""
    update_deadline: float = Field(60.0, gt=0)
    """Seconds for one weight update of one replica; past it the replica is replaced."""
    attempts: int = Field(3, ge=1)
    """How often a group is sampled before it counts as failed."""


class OptimizerConfig(Section):
    """AdamW and its schedule."""

    lr: float = Field(1e-6, ge=0)
    """Learning rate after the warm-up."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay of the gradient's mean and of its square's."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root in AdamW's denominator."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    warmup_steps: int = Field(0, ge=0)
    """Steps over which the learning rate rises linearly to ``lr``."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up; linear and cosine fall to 0 just after the last step."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The gradient is scaled down to this norm."""


class TrainerConfig(Section):
    """The Ray Train workers that update the policy."""

    workers: int = Field(1, ge=1)
    """Ranks that the policy and each step are sharded over."""
    cpus: float = Field(0.5, ge=0)
    """CPUs that Ray reserves for one worker."""
    gpus: float = Field(0, ge=0)
    """GPUs that Ray reserves for one worker."""
    threads: int = Field(1, ge=1)
    """CPU threads of one worker's torch."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the forward and backward pass; the optimizer's state is float32."""
    layout: Literal["auto", "padded", "packed"] = "auto"
    """Rows of a micro-batch: packed for variable-length attention kernels, length-sorted and padded for others."""
    attention: str = "sdpa"
    """The attention kernel, by transformers' name."""
    tokens_per_micro_batch: int = Field(4096, ge=1)
    """Most tokens (padding included) in one forward and backward pass."""
    logprob_chunk: int = Field(1024, ge=1)
    """Tokens whose logits [chunk, vocabulary] exist at one time."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass, to save memory."""
    max_failures: int = Field(2, ge=0)
    """How often dead train workers are started again from the last checkpoint."""
    collective_timeout: float = Field(600.0, gt=0)
    """Seconds until a collective with a dead peer fails."""


class EvaluationConfig(Section):
    """Held-out prompts, on the rollout replicas, outside the window."""

    every: int = Field(10, ge=0)
    """Steps between evaluations; the last step is always evaluated; 0 never evaluates."""
    prompts: int = Field(128, ge=1)
    """Number of held-out prompts."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""


class CheckpointConfig(Section):
    """How often a run can be gone on with from, and how many of those places stay."""

    every: int = Field(10, ge=0)
    """Steps between checkpoints; the last step is always saved; 0 saves only the last."""
    keep: int = Field(2, ge=1)
    """How many of the newest checkpoints stay."""


class RecordsConfig(Section):
    """What is written down beyond the numbers."""

    tokens: bool = False
    """Write token ids and logprobs into groups.jsonl too, so that the trainer can replay the run."""


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
                "set judge=rule, or algorithm.partial_credit=none"
            )
        if self.judge.kind == "rule" and self.task.kind != "arithmetic" and self.needs_judge:
            raise ValueError(
                f"judge=rule can check the steps of task.kind=arithmetic only, not of {self.task.kind}: "
                "set algorithm=grpo (or algorithm.partial_credit=none)"
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
