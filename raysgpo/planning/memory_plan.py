"""How many bytes each process of a run will hold: counted where they are known, estimated where they are not.

Static are the shards of the policy, its optimizer, its gradients and the reference. The rest is what stands beside them
at the worst moment of an update.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raysgpo.config import Config
from raysgpo.config.engine_parts import at_once
from raysgpo.config.replica_bounds import bounds_text
from raysgpo.planning.model_shape import ModelShape

BYTES = {"float32": 4, "bfloat16": 2}
MASTER, MOMENTS, SLOPES = 4, 8, 4
"""Bytes a parameter in float32: itself, AdamW's two moments, its gradient."""
CONTEXT = 3 * 2**29
"""Bytes that a trainer's process takes of a GPU beside what we count: CUDA, kernels and NCCL took 1.30 GiB of an H200,
and workspaces of the libraries 0.07, whatever the model; NCCL with further ranks was not measured."""
ENGINE = 4 * 2**30
"""Bytes of a replica's GPU beside weights and cache: CUDA graphs, activations of 16,384 tokens, logits of 1,024
answers, the communicator [estimated, for 7B on one GPU]."""
UTILISATION = 0.9
"""vLLM's own ``gpu_memory_utilization``."""


@dataclass(slots=True)
class Account:
    """What one process holds. ``rows``: what, and its bytes."""

    name: str
    rows: list[tuple[str, int]] = field(default_factory=list)
    static: int = 0
    """Of the total, what stays from one update to the next."""

    @property
    def total(self) -> int:
        return sum(size for _, size in self.rows)


def trainer_account(shape: ModelShape, config: Config, longest: int) -> Account:
    """Of one rank. ``longest``: tokens of the longest sequence."""
    trainer, reference = config.trainer, config.algorithm.kl_coefficient > 0
    ranks = trainer.copy_ranks
    number = BYTES.get(trainer.dtype, 4)
    shard, trained, low = shape.sharded(ranks), shape.trained_shard(ranks), bool(shape.adapters)
    rows = [
        (f"weights, {trainer.dtype if low else 'float32'}", (number if low else MASTER) * shard),
        ("adapters, float32", MASTER * trained if low else 0),
        ("AdamW", MOMENTS * trained),
        ("gradients, float32", SLOPES * trained),
        ("reference", number * shard if reference and not low else 0),  # of adapters it is their base
    ]
    static = sum(size for _, size in rows)
    tokens = max(trainer.tokens_per_micro_batch, longest)
    copies = 2 if reference and not low else 1
    rows += _gathered(shape, number, copies, low) if trainer.gpus else _kept_whole(shape, number, copies, low)
    rows += [
        ("the head's gradient, float32", 0 if low else 4 * shape.vocabulary * shape.hidden),
        (f"activations of {tokens:,} tokens, about", activations(shape, tokens, number, config)),
        ("logits of a chunk", min(trainer.chunk(shape.vocabulary), tokens) * shape.vocabulary * (number + 12)),
        ("CUDA, kernels, workspaces", CONTEXT if trainer.gpus else 0),
    ]
    return Account(f"trainer, each of {bounds_text(trainer.workers)}", [row for row in rows if row[1]], static)


def _gathered(shape: ModelShape, number: int, copies: int, low: bool) -> list[tuple[str, int]]:
    """One layer is computed while the next is gathered; the root stays whole from its forward to its backward pass."""
    return [
        ("gathered: embedding, head, two layers", number * copies * (shape.root_numbers + 2 * shape.layer_numbers)),
        ("gradients of embedding, head, a layer", 0 if low else number * (shape.root_numbers + shape.layer_numbers)),
    ]


def _kept_whole(shape: ModelShape, number: int, copies: int, low: bool) -> list[tuple[str, int]]:
    """A rank on CPUs gathers all once an update, and sums gradients of the whole model."""
    return [
        ("gathered: the whole model", number * copies * shape.parameters),
        ("its gradients, float32", 0 if low else SLOPES * shape.parameters),
    ]


def activations(shape: ModelShape, tokens: int, number: int, config: Config) -> int:
    """What the forward pass keeps for the backward one; attention keeps nothing quadratic, as its kernels do not."""
    layer = tokens * (
        number * (4 * shape.inner + 2 * shape.query + 2 * shape.key_value + 4 * shape.hidden) + 8 * shape.hidden
    )
    kept = tokens * number * shape.hidden
    count = len(shape.layers)
    return layer + count * kept if config.trainer.gradient_checkpointing else count * layer


def replica_account(shape: ModelShape, config: Config, longest: int, gpu: int) -> tuple[Account, int]:
    """Of one GPU of a replica, and how many of the longest sequences its cache has room for; ``gpu``: its bytes."""
    engine = config.rollout.engine
    parts = config.rollout.tensor_parallel_size
    number = 4 if str(engine.get("dtype", config.rollout.dtype)) == "float32" else 2
    weights = number * shape.parameters // parts
    heads = max(1, shape.key_value_heads // parts) / shape.key_value_heads
    token = int(2 * len(shape.layers) * shape.key_value * heads * number)
    room = int(gpu * float(engine.get("gpu_memory_utilization") or UTILISATION)) - weights - ENGINE
    asked = sequences_at_once(config)
    cache = min(max(room, token * longest), token * longest * asked)
    rows = [("weights", weights), ("engine, about", ENGINE), (f"cache, {token / 2**10:.0f} KiB a token", cache)]
    name = f"replica, each GPU of {bounds_text(config.rollout.replicas)} x {parts}"
    return Account(name, rows), cache // (token * longest)


def sequences_at_once(config: Config) -> int:
    """The most that one replica is asked for, and takes: with the fewest replicas."""
    prompts = (config.max_staleness + 1) * config.prompts_per_step * config.refill_limit
    rollout = config.rollout
    return at_once(prompts * config.sampling.group_size, rollout.replicas[0], rollout.gpus, rollout.engine)


def further_accounts(shape: ModelShape, config: Config) -> list[Account]:
    """Of the machines: what the weights take on their way to the replicas, checkpoints and exports."""
    trainer, settings = config.trainer, config.checkpoint
    published = BYTES.get(trainer.dtype, 4) * shape.parameters
    checkpoint, shard = ((MASTER + MOMENTS) * n for n in (shape.trained, shape.trained_shard(trainer.copy_ranks)))
    kept = settings.keep + (1 if settings.keep_best and config.evaluation.every else 0)
    exports = 1 + ((config.steps or 0) - 1) // settings.export_every if settings.export_every else 1
    exported = (4 if settings.export_dtype == "float32" else 2) * shape.parameters
    what = "adapters" if shape.adapters else "weights"
    return [
        Account(
            "shared memory of a node: the store's weights twice, and each replica's",
            [
                ("weights, twice", 2 * published),
                (f"replicas, {config.rollout.replicas[1]} at most", published * config.rollout.replicas[1]),
            ],
        ),
        Account("host memory of each rank for a checkpoint", [(f"its shards of {what} and AdamW, float32", shard)]),
        Account(
            "disk",
            [
                (f"checkpoints, {kept}, and one being written", checkpoint * (kept + 1)),
                (f"exports, {exports}, {settings.export_dtype}", exported * exports),
            ],
        ),
    ]
