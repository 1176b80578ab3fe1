"""A rollout replica on Ray Serve against bare vLLM: sampled tokens per second and their ratio.

    python tests/bench/rollout.py MODEL [--prompts 32] [--tokens 48] [--rounds 5] [--engine-process]

8 samples of each prompt, 48 tokens long. The replica gets 32 requests of 8 seeds through its handle; the bare engine is
AsyncLLM with the same arguments as vLLM starts it by itself (its core a process of its own, each token handed over as
it comes), and gets 256 requests. Both are up at the same time and take turns, after one warm-up each; the medians are
compared.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import time
from contextlib import redirect_stdout
from typing import Any

from raysgpo.config import RolloutConfig
from raysgpo.records import SampleRequest
from raysgpo.serving.engine import VllmEngine
from raysgpo.session.ray_session import ray_session
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import NOTHING_PUBLISHED
from tests.bench.bare_engine import bare_engine
from tests.rollouts import deploy_rollout, last

GROUP = 8


def requests(round_number: int, prompts: int, tokens: int) -> list[SampleRequest]:
    """Prompts of 12 tokens; new seeds each round. A token that ends an answer would end the count too."""
    return [
        SampleRequest(
            prompt_ids=[(7 * p + t) % 90 + 32 for t in range(12)],
            seeds_G=tuple(round_number * 100_000 + p * GROUP + g for g in range(GROUP)),
            max_tokens=tokens,
            temperature=1.0,
            min_version=NOTHING_PUBLISHED,
        )
        for p in range(prompts)
    ]


async def through_serve(handle: Any, asked: list[SampleRequest]) -> int:
    sampling = handle.options(stream=True).sample
    groups = await asyncio.gather(*(last(sampling.remote(request)) for request in asked))
    return sum(len(completion.token_ids_T) for group in groups for completion in group)


async def bare(engine: VllmEngine, asked: list[SampleRequest]) -> int:
    calls = [engine.sample(request, seed, f"bare-{seed}") for request in asked for seed in request.seeds_G]
    return sum(len(completion.token_ids_T) for completion in await asyncio.gather(*calls))


async def compare(handle: Any, rollout: RolloutConfig, arguments: argparse.Namespace) -> None:
    engine = await bare_engine(arguments.model, rollout)
    serve_rates, bare_rates = [], []
    for round_number in range(arguments.rounds + 1):
        rates = []
        asked = requests(round_number, arguments.prompts, arguments.tokens)
        for work in (through_serve(handle, asked), bare(engine, asked)):
            start = time.perf_counter()
            tokens = await work
            rates.append(tokens / (time.perf_counter() - start))
        if round_number:
            serve_rates.append(rates[0])
            bare_rates.append(rates[1])
    engine.shutdown()
    await asyncio.sleep(0.1)  # its task ends
    del engine
    gc.collect()  # vLLM's destructor wants the loop
    ratio = statistics.median(a / b for a, b in zip(serve_rates, bare_rates, strict=True))
    print(f"{arguments.prompts} prompts x {GROUP} samples x up to {arguments.tokens} tokens")
    print(
        f"through Ray Serve {statistics.median(serve_rates):,.0f} tokens/s   "
        f"bare vLLM {statistics.median(bare_rates):,.0f} tokens/s   ratio {ratio:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=48, help="of an answer, at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine-process", action="store_true", help="the replica's core is a process too")
    arguments = parser.parse_args()
    rollout = RolloutConfig(max_model_len=64, kv_cache_gib=0.5, engine_process=arguments.engine_process)
    out = sys.stdout
    with ray_session(), redirect_stdout(out):
        transport = StoreTransport(start_weight_store())
        handle = deploy_rollout(arguments.model, rollout, transport)
        asyncio.run(compare(handle, rollout, arguments))


if __name__ == "__main__":
    main()
