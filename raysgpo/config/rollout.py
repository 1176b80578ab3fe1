"""Settings of the sampling and of the replicas that sample."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from raysgpo.config.cluster import LabelSelector
from raysgpo.config.deadlines import SHORTEST, SHORTEST_UPDATE, TOKEN, answer_deadline
from raysgpo.config.engine_parts import has_process, tensor_parts
from raysgpo.config.replica_bounds import ReplicaBounds
from raysgpo.config.section import Section


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
    """Strings that end an answer, beside the model's end-of-turn token; its special tokens may be among them."""

    @field_validator("stop")
    @classmethod
    def _no_empty_string(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if "" in stop:
            raise ValueError("an empty string ends every answer before its first token: leave it out")
        return stop


class RolloutConfig(Section):
    """The Ray Serve deployment that samples."""

    replicas: ReplicaBounds = (1, 1)
    """Copies of the policy that sample, one engine each; of a pair, the fewest and the most, Ray Serve chooses between
    by the groups under way. A run starts with the fewest, and waits for those."""
    upscale_delay: float = Field(30.0, ge=0)
    """Seconds for which more groups must be under way than the replicas' share before one joins. Shorter, and the first
    moments of every step, when all of its groups begin, would start an engine that is up when they have ended."""
    downscale_delay: float = Field(1800.0, ge=0)
    """Seconds for which fewer must be under way before one leaves. No group is while the trainer trains, so this has to
    exceed the longest pause between the sampling of two steps: else replicas go and come back in every step."""
    cpus: float = Field(0.5, ge=0)
    """CPUs that Ray reserves for one replica."""
    gpus: float = Field(0, ge=0)
    """GPUs that Ray reserves for one replica; of several, the model is split over them (tensor parallelism)."""
    label_selector: LabelSelector = None
    """Labels that the nodes of the replicas must have; None: ``role=rollout``, where a node of the cluster has that."""
    threads: int | None = Field(None, ge=1)
    """CPU engine: threads of one replica; None: the cores that are free while it samples, one for a tiny model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type that the engine computes with; ``auto``: ``trainer.dtype``, so that both see the same weights."""
    max_model_len: int | None = Field(None, ge=2)
    """Longest prompt plus answer, tokens; None takes the model's own limit."""
    engine_process: bool | None = None
    """Whether vLLM's core is a process beside its replica's; None: on GPUs, whose work overlaps with the replica's. On
    CPUs it is a thread of the replica, which spares an import of vLLM (some ten seconds) and 0.6 GiB."""
    engine: dict[str, Any] = Field({})
    """Further arguments of vLLM's AsyncEngineArgs, passed as they are."""
    kv_cache_gib: float | None = Field(None, gt=0)
    """CPU engine: memory of the key-value cache of one replica, GiB; None: room for the sequences that it has at once,
    by the model's shape and the longest prompt plus answer, within the machine's free memory."""
    start_deadline: float | None = Field(None, gt=0)
    """Seconds for the replicas to come up; None: 120 and 15 for each GiB of weights, 300 at least."""
    token_deadline: float | None = Field(None, gt=0)
    """Seconds without a token from a replica that has a group, its weight updates apart; past it the group is sampled
    again and the replica replaced. How long the answers are does not matter. None: 120, and the time in which a slow
    machine reads the longest prompt and answer once."""
    update_deadline: float | None = Field(None, gt=0)
    """Seconds for one weight update of one replica; past it the replica is replaced. None: 30 and 4 for each GiB of
    weights, 60 at least."""
    on_update: Literal["recompute", "keep_cache", "drain"] = "recompute"
    """What becomes of answers under way when new weights come. ``recompute``: they go on under the new weights, which
    compute the keys and values of all before once more; ``keep_cache``: those of the old weights stay (as AReaL's),
    which costs nothing and makes their logprobs no policy's; ``drain``: the update waits until they have ended."""
    transport: Literal["auto", "store", "broadcast"] = "auto"
    """How new weights reach the replicas. ``store``: rank 0 of the trainer writes them into memory of its node, from
    which each replica reads them; ``broadcast``: it also sends them to all engines at once, by NCCL between GPUs, by
    gloo elsewhere, and whoever misses that reads them. ``auto``: a broadcast between GPUs of their own."""
    delta: bool = False
    """A broadcast sends only the numbers that have changed since the version before, where that is less; every engine
    keeps a copy of the weights for it."""
    checksums: bool | None = None
    """Whether an engine compares each tensor that it reads with the trainer's checksum of it; None: on CPUs."""
    attempts: int = Field(3, ge=1)
    """How often a group is sampled before it counts as failed."""

    @property
    def tensor_parallel_size(self) -> int:
        """Parts that each layer is split into."""
        return tensor_parts(self.gpus, self.engine)

    @property
    def core_process(self) -> bool:
        """``engine_process``, settled."""
        return has_process(self.engine_process, self.gpus, self.engine)

    @property
    def start_seconds(self) -> float:
        """``start_deadline``; the shortest while the model's size is not known."""
        return self.start_deadline or SHORTEST

    @property
    def update_seconds(self) -> float:
        """``update_deadline``, the shortest while the model's size is not known; with the answers waited for."""
        waited = self.drain_seconds if self.on_update == "drain" else 0.0
        return (self.update_deadline or SHORTEST_UPDATE) + waited

    @property
    def token_seconds(self) -> float:
        """``token_deadline``; the shortest while the model's size is not known."""
        return self.token_deadline or TOKEN

    @property
    def drain_seconds(self) -> float:
        """Until the longest answer under way has ended, at a slow pace. An engine that hangs has ``token_deadline``."""
        return answer_deadline(self.max_model_len or 0, on_cpu=self.gpus == 0)
