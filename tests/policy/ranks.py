"""Several ranks, forked so that the imports are paid once: ``python ranks.py FOLDER WORLD``.

Reads FOLDER/job.pkl, and rank 0 writes result.pkl. The tests compare with one rank in their own process.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig
from raysgpo.policy.policy import Policy
from raysgpo.policy.snapshot import Stager
from tests.policy.tensors import gradient, weights


def work(rank: int, world: int, folder: Path) -> None:
    job = pickle.loads((folder / "job.pkl").read_bytes())
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    settings = (OptimizerConfig(**job["optimizer"]), AlgorithmConfig(kl_coefficient=job["kl"]))
    policy = Policy.build(job["model"], TrainerConfig(**job["trainer"]), *settings, 1.0, 10, world)
    result: dict[str, Any] = {"folder": str(folder)}
    for name, shares in job["gradients"].items():
        metrics = policy.accumulate(shares[rank])
        result[name] = (metrics, gradient(policy))
    result["logprobs"] = policy.logprobs(job["gradients"]["many"][rank])
    policy.scorer.reshard()  # After a forward pass alone the root is whole.
    result["shard"] = sum(p.to_local().untyped_storage().nbytes() for p in policy.scorer.parameters())
    result["updates"] = [policy.update(shares[rank]) for shares in job["updates"]]
    result["weights"] = weights(policy)
    snapshot = policy.snapshot()
    snapshot.stage(Stager())
    if rank == 0:
        snapshot.write_model_files(folder / "from_several")
    result["files"] = [file.name for file in snapshot.write(folder / "from_several")]
    policy.load(Path(job["from_one"]))
    result["loaded"] = weights(policy)
    policy.update(job["continued"][rank])
    result["continued"] = weights(policy)
    everyone = [None] * world
    dist.all_gather_object(everyone, result)
    if rank == 0:
        (folder / "result.pkl").write_bytes(pickle.dumps(everyone))
    dist.destroy_process_group()


def main(folder: Path, world: int) -> None:
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=work, args=(rank, world, folder), daemon=True) for rank in range(world)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    if any(rank.exitcode for rank in ranks):
        sys.exit(f"exit statuses of the ranks: {[rank.exitcode for rank in ranks]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
