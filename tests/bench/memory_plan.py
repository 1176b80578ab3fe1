"""The plan's static bytes against what a rank held after an update on CPU: ``python tests/bench/memory_plan.py MODEL``.

Weights, AdamW's moments and gradients in float32: what the tensors take, and by how much anonymous memory grew once the
allocator has given back what it only kept. Each MODEL, a folder, has a process of its own.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from raysgpo.config import AlgorithmConfig, Config, OptimizerConfig, TrainerConfig
from raysgpo.planning.memory_plan import trainer_account
from raysgpo.planning.model_shape import ModelShape
from raysgpo.policy.model import build_causal
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.training.peak_memory import PeakMemory, anonymous_bytes

GIB = 2**30


def sequence(vocabulary: int) -> TrainSequence:
    sampled_T = np.arange(32) >= 8
    return TrainSequence(
        token_ids_T=np.random.default_rng(0).integers(0, vocabulary, 32).astype(np.int32),
        loss_weight_T=sampled_T.astype(np.float32),
        advantages_T=sampled_T.astype(np.float32),
        logprobs_T=np.where(sampled_T, -5, 0).astype(np.float32),
        sampled_T=sampled_T,
    )


def measure(model: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    shape = ModelShape.of(build_causal(model, "sdpa"))
    trainer = TrainerConfig(dtype="float32", layout="padded", tokens_per_micro_batch=32)
    before = anonymous_bytes() or 0
    with PeakMemory() as peak:
        policy = Policy.build(model, trainer, OptimizerConfig(lr=1e-6), AlgorithmConfig(), 1.0, 10, 1)
        share = Share(0, [[sequence(shape.vocabulary)]], 24.0, 24)
        policy.update(share)
        policy.accumulate(share)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    grown = (anonymous_bytes() or 0) - before
    moments = [value for state in policy.optimizer.state.values() for value in state.values()]
    slopes = [parameter.grad for parameter in policy.scorer.parameters()]
    held = sum(t.to_local().nbytes for t in (*policy.scorer.parameters(), *moments, *slopes) if isinstance(t, DTensor))
    account = trainer_account(shape, Config(trainer=trainer), 32)
    print(
        f"{model}: {shape.parameters / 1e6:,.0f} million   planned {account.static / GIB:.3f} GiB   tensors "
        f"{held / GIB:.3f} ({held / account.static - 1:+.2%})   memory grew by {grown / GIB:.3f} "
        f"({grown / account.static - 1:+.2%})   peak {((peak.host or 0) - before) / GIB:.2f}, "
        f"planned {account.total / GIB:.2f}",
        flush=True,
    )


def main() -> None:
    fork = multiprocessing.get_context("fork")
    for model in sys.argv[1:]:
        process = fork.Process(target=measure, args=(model,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
