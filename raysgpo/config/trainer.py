"""Settings of the optimizer and of the workers that update the policy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from raysgpo.config.cluster import LabelSelector
from raysgpo.config.replica_bounds import ReplicaBounds, bounds_text
from raysgpo.config.section import Section

VARLEN = "varlen"
"""Our attention over rows without padding, as ``trainer.attention`` names it."""
LOGITS = 2**29
"""Bytes of a chunk of logits in float32, if nobody says how many tokens it has."""


class OptimizerConfig(Section):
    """AdamW, its schedule, and how many updates a step makes."""

    updates_per_step: int = Field(1, ge=1)
    """The groups of a step are divided over so many updates, each with a denominator of its own; the weights go to the
    replicas once, after the last. With 1 the policy is the one that sampled and, without staleness, no ratio is ever
    clipped."""
    lr: float = Field(1e-6, ge=0)
    """Learning rate after the warm-up."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay of the gradient's mean and of its square's."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root in AdamW's denominator."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    warmup_steps: int = Field(0, ge=0)
    """Updates over which the learning rate rises linearly to ``lr``."""
    warmup_ratio: float | None = Field(None, ge=0, le=1)
    """The same as a share of all updates, rounded up, in the place of ``warmup_steps``."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up; linear and cosine fall to 0 just after the last update."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The gradient is scaled down to this norm."""

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.warmup_ratio is not None and self.warmup_steps:
            raise ValueError(
                f"optimizer.warmup_ratio={self.warmup_ratio:g} and optimizer.warmup_steps={self.warmup_steps} are both "
                "the warm-up: set optimizer.warmup_steps=0, or leave the ratio out"
            )
        return self

    def warmup(self, total_updates: int) -> int:
        """Updates of the warm-up of a run of ``total_updates``."""
        return self.warmup_steps if self.warmup_ratio is None else math.ceil(self.warmup_ratio * total_updates)

    def divided(self, groups: int) -> list[int]:
        """How many of a step's ``groups`` each update takes: as equal as can be, the larger first."""
        size, rest = divmod(groups, self.updates_per_step)
        return [size + (number < rest) for number in range(self.updates_per_step)]


def impossible_optimizer(optimizer: OptimizerConfig, prompts_per_step: int) -> str | None:
    """What cannot work, with the fix."""
    if optimizer.updates_per_step > prompts_per_step:
        return (
            f"optimizer.updates_per_step={optimizer.updates_per_step} is more than the "
            f"prompts_per_step={prompts_per_step} that they are made of: set it to {prompts_per_step} or fewer"
        )
    return None


def doubtful_optimizer(optimizer: OptimizerConfig, prompts_per_step: int) -> Iterator[str]:
    """What is allowed and hardly meant, as lines for the console."""
    sizes = optimizer.divided(prompts_per_step)
    if len(set(sizes)) > 1:
        yield (
            f"warning: optimizer.updates_per_step={optimizer.updates_per_step} does not divide "
            f"prompts_per_step={prompts_per_step}: the first updates of a step take {sizes[0]} groups, "
            f"the last {sizes[-1]}"
        )


class TrainerConfig(Section):
    """The Ray Train workers that update the policy."""

    workers: ReplicaBounds = (1, 1)
    """Ranks that the policy and each step are sharded over; of a pair, the fewest and the most: there are as many as
    the cluster has room for, and when that changes they start again from the newest checkpoint."""
    resize_period: float = Field(60.0, gt=0)
    """Seconds from one look at whether more workers have room, or fewer, to the next, where ``workers`` is a pair."""
    shard_size: int | None = Field(None, ge=1)
    """Ranks that one copy of the policy is sharded over, such as those of a node (HSDP); None: all of them (FSDP)."""
    cpus: float = Field(0.5, ge=0)
    """CPUs that Ray reserves for one worker."""
    gpus: float = Field(0, ge=0)
    """GPUs that Ray reserves for one worker: one, or a part of one."""
    label_selector: LabelSelector = None
    """Labels that the nodes of the workers must have, such as {zone: a}; None: ``role=trainer``, where a node of the
    cluster has that."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of one worker's torch; None: the cores that are free while it trains, one for a tiny model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the forward and backward pass; weights and optimizer are float32. ``auto``: bfloat16 on GPUs, and on CPUs
    that multiply it by themselves (AMX, AVX512-BF16) for any model but a tiny one; else float32."""
    layout: Literal["auto", "shared", "padded", "packed"] = "auto"
    """Rows of a micro-batch: ``shared``, one row without padding in which the prompt of a group stands once;
    ``packed``, the same with a prompt for each answer; ``padded``, one row a sequence. ``auto``: ``shared`` under
    ``varlen``, ``packed`` for flash attention's own kernels, else ``padded``."""
    attention: str | None = None
    """The attention kernel, by transformers' name, or ``varlen``, our own over PyTorch's for rows without padding;
    None: ``varlen`` for models that ask no more of it, else ``sdpa``."""
    attention_parity: int | None = Field(None, ge=1)
    """Tokens at which a sequence costs as much in attention as in all else, by which long answers are weighed when
    ranks are given equal work; None: by the model's shape."""
    tokens_per_micro_batch: int = Field(4096, ge=1)
    """Most tokens (padding included) in one forward and backward pass."""
    logprob_chunk: int | None = Field(None, ge=1)
    """Tokens whose logits [chunk, vocabulary] exist at one time; the head of a pass that is one chunk is computed once,
    of others nearly twice. None: what fills 512 MiB, and at least 1,024."""
    gradient_checkpointing: bool | None = None
    """Compute activations again in the backward pass, to save memory; None: on GPUs, for models of a billion parameters
    or more."""
    lora_rank: int | None = Field(None, ge=1)
    """Train low-rank adapters (LoRA) of this rank beside the weights, which stay as they are; None: all weights. A
    learning rate some ten times as large goes with it."""
    lora_alpha: float | None = Field(None, gt=0)
    """Adapters count alpha / rank times; None: twice."""
    lora_targets: tuple[str, ...] | None = Field(None, min_length=1)
    """Names of the linear layers that get an adapter, such as [q_proj, v_proj]; None: all of the decoder layers."""
    max_failures: int = Field(2, ge=0)
    """How often dead train workers are started again from the last checkpoint."""
    collective_timeout: float = Field(600.0, gt=0)
    """Seconds until a collective with a dead peer fails."""

    @property
    def alpha(self) -> float:
        """LoRA's."""
        return self.lora_alpha if self.lora_alpha is not None else 2.0 * (self.lora_rank or 1)

    def chunk(self, vocabulary: int) -> int:
        """``logprob_chunk``, of a model of so many tokens."""
        return self.logprob_chunk or max(1024, LOGITS // (4 * vocabulary))

    @property
    def elastic(self) -> bool:
        """Whether the number of workers may change in mid-run."""
        return self.workers[0] < self.workers[1]

    @property
    def copy_ranks(self) -> int:
        """Ranks over which one copy of the model is sharded, where they are fewest."""
        return self.shard_size or self.workers[0]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        fewest, most = self.workers
        if self.shard_size is not None and (most > fewest or most % self.shard_size):
            raise ValueError(
                f"trainer.shard_size={self.shard_size} does not divide trainer.workers={bounds_text(self.workers)}: "
                "set it to a number of ranks that does, or leave it out to shard over all of them"
            )
        if most > fewest and (self.cpus % 1 or self.gpus % 1):
            raise ValueError(
                f"trainer.workers={[fewest, most]} changes with the room that there is, which Ray counts in whole CPUs "
                f"and GPUs: set trainer.cpus and trainer.gpus (now {self.cpus:g} and {self.gpus:g}) to whole numbers"
            )
        if self.gpus > 1:
            raise ValueError(
                f"trainer.gpus={self.gpus:g}, and a train worker computes on one GPU: set trainer.gpus=1 and "
                f"trainer.workers={math.ceil(most * self.gpus)}"
            )
        if self.lora_rank is None and (self.lora_alpha is not None or self.lora_targets is not None):
            key = "lora_alpha" if self.lora_alpha is not None else "lora_targets"
            raise ValueError(f"trainer.{key} is of adapters, and there are none: set trainer.lora_rank, such as 16")
        if self.attention == VARLEN and self.layout == "padded":
            raise ValueError(
                f"trainer.attention={VARLEN} is for rows without padding, and trainer.layout=padded makes no such: set "
                "trainer.layout=shared, or trainer.attention=sdpa"
            )
        if self.attention not in (None, VARLEN) and self.layout == "shared":
            raise ValueError(
                f"trainer.attention={self.attention} does not know of prompts that answers share: leave it out, or "
                "set trainer.layout=padded"
            )
        return self
