"""How long training stands still for a checkpoint, and whether other numbers of ranks go on from it.

    python tests/bench/checkpoint.py MODEL [--ranks 2] [--restore 1,4] [--sampling SECONDS] [--folder FOLDER]

Three checkpoints: the first finds no memory to copy into yet; after the second comes an update at once; before the
update after the third pass SECONDS, as while a step's answers are sampled. Training stands still in the call itself,
and in the update where it waits for the copy. What an update takes longer beside the writing is what they take from one
another of the cores: with 2 of them all of it, on a node with GPUs nothing. Writing is until the folder is complete.
``python tests/bench/loading.py --make 0.5b FOLDER`` makes a model.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import torch.distributed as dist

from raysgpo.config import AlgorithmConfig, OptimizerConfig
from raysgpo.config.overrides import resolve
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.training import checkpoints as checkpoints_file
from raysgpo.training.checkpoints import Checkpoints
from raysgpo.training.peak_memory import anonymous_bytes
from tests.resolved import resolved

SEQUENCES, TOKENS = 4, 32
GIB = 2**30
T = TypeVar("T")


class Conductor:
    """Its handle: takes everything, and knows nothing."""

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *_: {"step": _[0]} if name == "checkpoint_state" else None)


def shares(ranks: int) -> list[Share]:
    """Random tokens, the same whatever the number of ranks."""
    draw = np.random.default_rng(0)
    sampled_T = np.arange(TOKENS) >= TOKENS // 4
    sequences = [
        TrainSequence(
            token_ids_T=draw.integers(0, 1000, TOKENS).astype(np.int32),
            loss_weight_T=sampled_T.astype(np.float32),
            advantages_T=np.where(sampled_T, draw.normal(), 0.0).astype(np.float32),
            logprobs_T=np.where(sampled_T, -12.0, 0.0).astype(np.float32),
            sampled_T=sampled_T,
        )
        for _ in range(SEQUENCES)
    ]
    tokens = SEQUENCES * int(sampled_T.sum())
    return [Share(0, [sequences[rank::ranks]], float(tokens), tokens) for rank in range(ranks)]


def start(rank: int, ranks: int, model: str, folder: Path, store: str) -> tuple[Policy, Checkpoints, Share]:
    checkpoints_file.result = lambda pending, deadline=60.0: pending  # type: ignore[assignment,return-value]
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=ranks, timeout=timedelta(seconds=600)
    )
    words = [f"trainer.workers={ranks}", "trainer.dtype=float32", "trainer.layout=padded", "checkpoint.keep=1"]
    config = resolved(resolve({}, overrides=words))
    policy = Policy.build(
        model, config.trainer, OptimizerConfig(lr=1e-5), AlgorithmConfig(), 1.0, total_updates=100, world=ranks
    )
    job: Any = SimpleNamespace(run=RunFolder(folder), config=config, conductor=Conductor())
    return policy, Checkpoints(job, policy), shares(ranks)[rank]


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def save(rank: int, ranks: int, model: str, folder: Path, store: str, sampling: float) -> None:
    policy, checkpoints, share = start(rank, ranks, model, folder, store)
    for _ in range(2):
        policy.update(share)
    alone = [seconds(lambda: policy.update(share)) for _ in range(4)]
    plain = sum(alone) / len(alone)
    held = (anonymous_bytes() or 0) / GIB
    time.sleep(sampling)
    cold = seconds(lambda: policy.update(share)) - plain
    lines = [
        f"  an update takes {min(alone):.1f} to {max(alone):.1f} s, and {cold:+.1f} s after {sampling:g} s of nothing; "
        f"rank 0 holds {held:.1f} GiB"
    ]
    for step, pause in ((1, 0.0), (2, 0.0), (3, sampling)):
        dist.barrier()
        called = seconds(lambda step=step: checkpoints.save(step, exported=False))  # type: ignore[misc]
        time.sleep(pause)
        waited: list[float] = []
        snapshot = policy._snapshot
        assert snapshot is not None
        wait = snapshot.wait
        snapshot.wait = lambda wait=wait, waited=waited: waited.append(seconds(wait))  # type: ignore[method-assign,misc]
        longer = seconds(lambda: policy.update(share)) - plain
        checkpoints.finish()
        written = checkpoints.written()
        still, whole = called + waited[0], written["checkpoint/seconds"] or 0.0
        size = (written["checkpoint/bytes"] or 0.0) / GIB
        lines.append(
            f"  checkpoint {step}, update after {pause:g} s: still {called:.2f} + {waited[0]:.2f} s, written in "
            f"{whole:.1f} s ({still / whole:.1%}), {size:.2f} GiB, {size / whole:.2f} GiB/s; update {longer:+.1f} s"
        )
        if step == 3:
            then, loss = timed(lambda: policy.update(share)["policy/loss"])
            later = min(seconds(lambda: policy.update(share)) for _ in range(2))
            held = (anonymous_bytes() or 0) / GIB
            lines.append(
                f"  the update after that {then - plain:+.1f} s: loss {loss:.9f}; those behind {later - plain:+.1f} s; "
                f"rank 0 holds {held:.1f} GiB"
            )
    if rank == 0:
        print("\n".join(lines), flush=True)
    dist.barrier()
    os._exit(0)


def restore(rank: int, ranks: int, model: str, folder: Path, store: str) -> None:
    policy, checkpoints, share = start(rank, ranks, model, folder, store)
    took = seconds(checkpoints.restore)
    policy.update(share)
    loss = policy.update(share)["policy/loss"]
    if rank == 0:
        print(f"  on {ranks} ranks: restored in {took:.1f} s; two updates later loss {loss:.9f}", flush=True)
    dist.barrier()
    os._exit(0)


def fork(work: Callable[..., None], ranks: int, *arguments: Any) -> None:
    with tempfile.TemporaryDirectory() as place:
        model, folder, *rest = arguments
        context = multiprocessing.get_context("fork")
        processes = [
            context.Process(target=work, args=(rank, ranks, model, folder, f"{place}/store", *rest))
            for rank in range(ranks)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--restore", default="1,4")
    parser.add_argument("--sampling", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        print(f"{arguments.ranks} ranks write", flush=True)
        fork(save, arguments.ranks, arguments.model, folder, arguments.sampling)
        for ranks in map(int, arguments.restore.split(",")):
            fork(restore, ranks, arguments.model, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
