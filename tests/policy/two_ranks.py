"""One of two ranks: ``python two_ranks.py RANK FOLDER``. Reads FOLDER/job.pkl, rank 0 writes result.pkl.

The tests start it twice and compare with one rank in their own process.
"""

from __future__ import annotations

import pickle
import sys
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig
from raysgpo.policy.policy import Policy


def gradient(policy: Policy) -> dict:
    return {name: p.grad.full_tensor().clone() for name, p in policy.scorer.named_parameters()}


def weights(policy: Policy) -> dict:
    return {name: value.clone() for name, value in policy.weights()}


def main(rank: int, folder: Path) -> None:
    job = pickle.loads((folder / "job.pkl").read_bytes())
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    settings = (OptimizerConfig(**job["optimizer"]), AlgorithmConfig(kl_coefficient=job["kl"]))
    policy = Policy.build(job["model"], TrainerConfig(**job["trainer"]), *settings, 1.0, 10, world=2)
    result = {}
    for name, pair in job["gradients"].items():
        metrics = policy.accumulate(pair[rank])
        result[name] = (metrics, gradient(policy))
    result["logprobs"] = policy.logprobs(job["gradients"]["many"][rank])
    result["updates"] = [policy.update(pair[rank]) for pair in job["updates"]]
    result["weights"] = weights(policy)
    policy.save(folder / "from_two")
    policy.load(Path(job["from_one"]))
    result["loaded"] = weights(policy)
    policy.update(job["continued"][rank])
    result["continued"] = weights(policy)
    everyone = [None, None]
    dist.all_gather_object(everyone, result)
    if rank == 0:
        (folder / "result.pkl").write_bytes(pickle.dumps(everyone))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
