"""Where the seconds of a weight sync go on one machine, against a copy of its bytes.

python tests/bench/sync.py MODEL [--rounds 3] [--dtype float32] [--threads 2]

pack       the trainer's tensors to bytes, with their checksums
store      through the weight store to a replica: two copies of Ray's
file       into shared memory, which the engine's process maps
pause      generation stops, the cache is cleared
load       the engine reads, compares checksums, loads layer by layer
finish     what is left is repacked
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import redirect_stdout

import torch
from transformers import AutoModelForCausalLM

from raysgpo.config import RolloutConfig
from raysgpo.remote import result
from raysgpo.serving.engine import VllmEngine
from raysgpo.session.ray_session import ray_session
from raysgpo.weights.payload import pack, payload_bytes
from raysgpo.weights.shared_file import SharedFile
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport


class Phases:
    """``with phases("pack"): ...``: seconds by name, a list of rounds each."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._name, self._start = "", 0.0

    def __call__(self, name: str) -> Phases:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds.setdefault(self._name, []).append(time.perf_counter() - self._start)


async def measure(model: str, rounds: int, dtype: str, threads: int) -> None:
    from vllm.distributed.weight_transfer.base import WeightTransferUpdateRequest

    store = start_weight_store()
    rollout = RolloutConfig(max_model_len=64, kv_cache_gib=0.25, threads=threads, dtype=dtype)  # type: ignore[arg-type]
    transport = StoreTransport(store)
    engine = VllmEngine(model, rollout, transport)
    await engine.start()
    llm = engine._llm
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
    phases = Phases()
    for version in range(rounds + 1):
        with phases("pack"):
            payload = pack(policy.named_parameters())
        with phases("store"):
            result(store.publish.remote(version, payload))
            weights = await transport.receive(version, 60)
        with phases("file"):
            file = SharedFile(weights.payload)
        with file:
            with phases("pause"):
                await llm.pause_generation(mode="keep", clear_cache=True)
            with phases("load"):
                await llm.start_weight_update()
                await llm.update_weights(WeightTransferUpdateRequest(update_info=file.description))
            with phases("finish"):
                await llm.finish_weight_update(str(version))
            await llm.resume_generation()
        with phases("a copy"):
            bytearray(b"").join(entry.raw.data for entry in payload)
    engine.shutdown()
    medians = {name: statistics.median(seconds[1:]) for name, seconds in phases.seconds.items()}
    copy = medians.pop("a copy")
    print(f"{payload_bytes(payload) / 2**20:,.0f} MiB, a copy {copy:.3f} s")
    for name, seconds in medians.items():
        print(f"  {name:<8}{seconds:>8.3f} s{seconds / copy:>8.1f} copies")
    total = sum(medians.values())
    print(f"  {'sum':<8}{total:>8.3f} s{total / copy:>8.1f} copies")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    out = sys.stdout
    with ray_session(), redirect_stdout(out):
        asyncio.run(measure(arguments.model, arguments.rounds, arguments.dtype, arguments.threads))


if __name__ == "__main__":
    main()
