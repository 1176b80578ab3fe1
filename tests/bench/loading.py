"""Peak memory of each rank while it loads a model: shard by shard, and whole as transformers does it.

    python tests/bench/loading.py MODEL [--ranks 1,2,4] [--whole]
    python tests/bench/loading.py --make 0.5b FOLDER

Anonymous memory beyond the imports, so the mapped pages of the checkpoint are apart. ``--whole``: each rank reads all
of it in float32 and shards that. ``--make``: random weights in bfloat16 in the shapes of Qwen2.5-0.5B.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from raysgpo.config import TrainerConfig
from raysgpo.planning.model_shape import ModelShape
from raysgpo.policy.loading import load_scorer
from raysgpo.policy.model import build_causal, shard
from raysgpo.training.peak_memory import PeakMemory, anonymous_bytes

SHAPES = {
    "0.5b": {
        "vocab_size": 151_936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
}
MIB = 2**20


def make(shape: str, folder: Path) -> None:
    torch.manual_seed(0)
    with torch.device("cpu"):
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPES[shape])).to(torch.bfloat16)
    model.save_pretrained(folder)


def bound(model: str, ranks: int) -> float:
    """MiB of a rank's shard in float32 plus the largest module that is sharded as one."""
    shape = ModelShape.of(build_causal(model, "sdpa"))
    return 4 * (shape.parameters / ranks + max(shape.root_numbers, shape.layer_numbers)) / MIB


def work(rank: int, ranks: int, model: str, whole: bool, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    mesh, trainer = init_device_mesh("cpu", (ranks,)), TrainerConfig(dtype="float32")
    before, start = anonymous_bytes() or 0, time.perf_counter()
    with PeakMemory() as peak:
        if whole:
            shard(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), trainer, 1.0, mesh)
        else:
            load_scorer(model, trainer, 1.0, mesh, torch.float32)
    taken = ((peak.host or 0) - before) / MIB
    print(f"  rank {rank} of {ranks}: peak {taken:,.0f} MiB, {time.perf_counter() - start:.1f} s", flush=True)
    dist.barrier()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder")
    parser.add_argument("--ranks", default="1,2,4")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--make", choices=SHAPES)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make, Path(arguments.model))
        return
    fork = multiprocessing.get_context("fork")
    for ranks in map(int, arguments.ranks.split(",")):
        print(f"{ranks} ranks; a shard and the largest module: {bound(arguments.model, ranks):,.0f} MiB")
        with tempfile.TemporaryDirectory() as folder:
            processes = [
                fork.Process(target=work, args=(rank, ranks, arguments.model, arguments.whole, folder))
                for rank in range(ranks)
            ]
            for process in processes:
                process.start()
            for process in processes:
                process.join()


if __name__ == "__main__":
    main()
