"""A replica of two ranks: each receives all weights, by memory and by broadcast, and keeps its part of them.

Its engines run in this process, without Ray.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.engine import VllmEngine
from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.group import Place, Rendezvous, packed
from raysgpo.weights.memory_file import description
from tests.serving.test_engine import TheseWeights
from tests.serving.test_vllm import PROMPT, random_policy, reference_logprobs, save
from tests.weights.publishing import parcels, written

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

REQUEST = SampleRequest(PROMPT, (3,), 24, 1.0)


async def started(folder: str, ranks: int) -> VllmEngine:
    rollout = RolloutConfig(kv_cache_gib=0.1, engine={"tensor_parallel_size": ranks} if ranks > 1 else {})
    engine = VllmEngine(folder, rollout)
    await engine.start()
    assert engine.ranks == ranks
    return engine


async def held(engine: VllmEngine) -> dict[str, str]:
    """Rank and parameter to the checksum of what the engine computes with."""
    return {name: digest for rank in await engine._llm.compute_weight_checksums() for name, digest in rank.items()}


async def by_memory(engine: VllmEngine, policy: Any) -> None:
    file, manifest = written(policy.named_parameters())
    with file:
        await engine.update(TheseWeights(0, description(file.path, manifest.tensors)))


async def by_broadcast(engine: VllmEngine, policy: Any, fails_after: int | None = None) -> None:
    """``fails_after``: tensors, after which the group is given up and memory has to do."""
    rendezvous = Rendezvous("127.0.0.1", 60)
    invitation = {"backend": "gloo", "host": "127.0.0.1", "port": rendezvous.port, "offset": 1}
    invitation |= {"world": 1 + engine.ranks, "join_timeout": 60.0, "timeout": 60.0}
    place = Place("gloo", "127.0.0.1", rendezvous.port, 0, 1 + engine.ranks, 60, 60)
    group, _ = await asyncio.gather(asyncio.to_thread(rendezvous.enter, place), engine.join(invitation))

    def send() -> None:
        for index, (name, tensor) in enumerate(policy.named_parameters()):
            if index == fails_after:
                return group.abort()
            group.send(packed(parcels([(name, tensor)]), torch.device("cpu")))
        group.send_end()

    file, manifest = written(policy.named_parameters())
    with file:
        spare = TheseWeights(2, description(file.path, manifest.tensors))
        weights = TheseWeights(1, {"broadcast": True}, spare=spare)
        _, version = await asyncio.gather(asyncio.to_thread(send), engine.update(weights))
    assert version == (1 if fails_after is None else 2)
    group.abort()


def test_each_rank_holds_what_an_engine_does_that_loaded_them(tmp_path: Path) -> None:
    first, second, third = (random_policy(seed) for seed in (0, 1, 2))
    folders = [save(policy, tmp_path / str(index)) for index, policy in enumerate((first, second, third))]

    async def scenario() -> tuple[list[dict[str, str]], Completion]:
        engine = await started(folders[0], ranks=2)
        found = [await held(engine)]
        await by_memory(engine, second)
        found.append(await held(engine))
        assert await engine.checksums() == named_checksums(second.named_parameters())
        for tensors in range(0, 20, 6):
            await by_broadcast(engine, second, fails_after=tensors)
            assert await held(engine) == found[-1]
        await by_broadcast(engine, third)
        found.append(await held(engine))
        assert await engine.checksums() == named_checksums(third.named_parameters())
        completion = await engine.sample(REQUEST, 3, "r")
        engine.shutdown()
        return found, completion

    async def loaded(folder: str) -> dict[str, str]:
        engine = await started(folder, ranks=2)
        sums = await held(engine)
        engine.shutdown()
        return sums

    async def of_one_rank() -> Completion:
        engine = await started(folders[2], ranks=1)
        completion = await engine.sample(REQUEST, 3, "r")
        engine.shutdown()
        return completion

    (before, memory, broadcast), said = asyncio.run(scenario())
    assert {name.split(":")[3] for name in broadcast} == {"tp0", "tp1"}
    assert broadcast == asyncio.run(loaded(folders[2]))
    assert before.keys() == memory.keys() and before != memory != broadcast
    alone = asyncio.run(of_one_rank())
    np.testing.assert_array_equal(said.token_ids_T, alone.token_ids_T)
    np.testing.assert_allclose(said.logprobs_T, alone.logprobs_T, atol=1e-5, rtol=0)
    np.testing.assert_allclose(said.logprobs_T, reference_logprobs(third, said, 1.0), atol=1e-5, rtol=0)
