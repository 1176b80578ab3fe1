"""What every engine owes: the order of an update, versions a token, answers by seed, bounds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.engine import _completion, engine_arguments
from raysgpo.serving.reloading import OnUpdate, check_prompt, reload_weights
from raysgpo.tiny.tokenizer import byte_tokenizer
from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.memory_file import description
from tests.serving.fake_engine import END, FakeEngine
from tests.weights.publishing import written

WEIGHTS = {"w": torch.arange(4.0)}
REQUEST = SampleRequest(prompt_ids=[1, 2, 3], seeds_G=(0,), max_tokens=8, temperature=1.0)


class TheseWeights:
    """Weights in pieces; ``spare``: what there is if they fail."""

    def __init__(self, version: int, *pieces: Any, spare: TheseWeights | None = None) -> None:
        self.version = version
        self.closed = False
        self._pieces = pieces
        self._spare = spare

    async def pieces(self) -> AsyncGenerator[Any]:
        try:
            for piece in self._pieces:
                yield piece
        finally:
            self.closed = True

    async def spare(self) -> TheseWeights | None:
        return self._spare


def engine_weights(version: int) -> tuple[Any, TheseWeights]:
    """A file of WEIGHTS, to be kept open, and they as an engine reads them."""
    file, manifest = written(WEIGHTS.items())
    return file, TheseWeights(version, description(file.path, manifest.tensors))


class RecordingLlm:
    """Writes down what an update calls; ``failing`` raises, as often as is said."""

    def __init__(self, failing: str | None = None, times: int = 100) -> None:
        self.calls: list[str] = []
        self.failing = failing
        self.times = times

    def _call(self, name: str, detail: Any = "") -> None:
        self.calls.append(f"{name} {detail}".strip())
        if name == self.failing and self.times:
            self.times -= 1
            raise RuntimeError(name)

    async def pause_generation(self, *, mode: str, clear_cache: bool) -> None:
        self._call("pause", f"{mode} {clear_cache}")

    async def start_weight_update(self) -> None:
        self._call("start")

    async def begin_again(self) -> None:
        self._call("again")

    async def update_weights(self, piece: Any) -> None:
        self._call("load", piece)

    async def finish_weight_update(self, weight_version: str) -> None:
        self._call("finish", weight_version)

    async def resume_generation(self) -> None:
        self._call("resume")


CALLS = ["pause keep True", "start", "load weights", "finish 7", "resume"]


@pytest.mark.parametrize(
    ("on_update", "pause"),
    [("recompute", "pause keep True"), ("keep_cache", "pause keep False"), ("drain", "pause wait True")],
)
def test_an_update_pauses_starts_loads_finishes_and_resumes(on_update: OnUpdate, pause: str) -> None:
    llm = RecordingLlm()
    assert asyncio.run(reload_weights(llm, TheseWeights(7, "weights"), on_update)) == 7
    assert llm.calls == [pause, *CALLS[1:]]


@pytest.mark.parametrize("step", range(4))
def test_a_failed_update_never_resumes(step: int) -> None:
    llm = RecordingLlm(failing=CALLS[step].split()[0])
    with pytest.raises(RuntimeError):
        asyncio.run(reload_weights(llm, TheseWeights(7, "weights")))
    assert llm.calls == CALLS[: step + 1]


def test_pieces_are_loaded_one_after_another() -> None:
    llm = RecordingLlm()
    asyncio.run(reload_weights(llm, TheseWeights(7, "a", "b")))
    assert llm.calls == [CALLS[0], "start", "load a", "load b", "finish 7", "resume"]


def test_a_broadcast_that_fails_is_loaded_from_the_start_by_the_other_way() -> None:
    llm = RecordingLlm(failing="load", times=1)
    weights = TheseWeights(7, "broadcast", spare=TheseWeights(8, "stored"))
    assert asyncio.run(reload_weights(llm, weights)) == 8
    assert llm.calls == [CALLS[0], "start", "load broadcast", "again", "load stored", "finish 8", "resume"]
    assert weights.closed
    llm = RecordingLlm(failing="load", times=2)
    with pytest.raises(RuntimeError):
        asyncio.run(reload_weights(llm, weights))
    assert "resume" not in llm.calls


def sample_fake(seed: int, max_tokens: int = 8, **settings: Any) -> Completion:
    async def scenario() -> Completion:
        engine = FakeEngine(**settings)
        await engine.start()
        request = SampleRequest([1, 2, 3], (seed,), max_tokens, 1.0)
        return await engine.sample(request, seed, "r")

    return asyncio.run(scenario())


def test_the_fake_says_the_answer_of_its_seed_and_then_ends() -> None:
    said = sample_fake(3, answers=["no", "yes"])
    assert said.token_ids_T.tolist() == [*b"yes", END]
    assert (said.text, said.finish_reason) == ("yes", "stop")
    assert np.allclose(said.logprobs_T, -math.log(260))


def test_the_fake_is_cut_off_at_max_tokens() -> None:
    said = sample_fake(0, max_tokens=2, answers=["abc"])
    assert (said.text, said.finish_reason, len(said.token_ids_T)) == ("ab", "length", 2)
    assert sample_fake(0, max_tokens=3, answers=["abc"]).finish_reason == "length"
    assert sample_fake(0, max_tokens=4, answers=["abc"]).finish_reason == "stop"


def test_an_answer_across_an_update_says_which_weights_made_which_tokens() -> None:
    async def scenario() -> tuple[Completion, FakeEngine]:
        engine = FakeEngine(answers=["abcdefgh"], token_seconds=0.02, update_seconds=0.1)
        await engine.start()
        first, weights = engine_weights(0)
        with first:
            await engine.update(weights)
        answer = asyncio.create_task(engine.sample(REQUEST, 0, "r"))
        await asyncio.sleep(0.07)
        second, weights = engine_weights(1)
        with second:
            await engine.update(weights)
        return await answer, engine

    said, engine = asyncio.run(scenario())
    assert [version for version, _ in said.weight_versions] == [0, 1]
    assert sum(count for _, count in said.weight_versions) == len(said.token_ids_T)
    assert engine.events == ["pause", "start", "load", "finish", "resume"] * 2
    assert asyncio.run(engine.checksums()) == named_checksums(WEIGHTS.items())


@pytest.mark.parametrize("length", [0, 10, 11])
def test_a_prompt_without_room_for_an_answer_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="max_model_len=10"):
        check_prompt([1] * length, 10)
    check_prompt([1] * 9, 10)


def test_engine_settings_pass_through_and_ours_are_protected() -> None:
    rollout = RolloutConfig(max_model_len=64, kv_cache_gib=0.1, engine={"dtype": "bfloat16"})
    arguments = engine_arguments("model", rollout)
    assert (arguments["dtype"], arguments["max_model_len"]) == ("bfloat16", 64)
    assert arguments["logprobs_mode"] == "processed_logprobs"
    with pytest.raises(ValueError, match=r"rollout\.engine may not set logprobs_mode, model"):
        engine_arguments("model", RolloutConfig(engine={"model": "x", "logprobs_mode": "raw_logprobs"}))


def test_only_the_cpu_engine_is_told_how_to_live_on_a_cpu() -> None:
    on_cpu = engine_arguments("model", RolloutConfig(kv_cache_gib=0.25))
    on_gpu = engine_arguments("model", RolloutConfig(gpus=1))
    assert on_cpu["kv_cache_memory_bytes"] == 2**28
    assert not {"dtype", "enforce_eager", "kv_cache_memory_bytes"} & on_gpu.keys()


def test_an_answer_says_where_in_its_text_each_token_ends() -> None:
    """The end of the turn, which the text is without, says nothing."""
    ids = [*"aΩ".encode(), 260]
    output = SimpleNamespace(
        token_ids=ids,
        logprobs=SimpleNamespace(token_ids=ids, logprobs=[-0.5] * 4),
        finish_reason="stop",
        weight_versions=[SimpleNamespace(version="3", start=0, end=4)],
        text="aΩ",
    )
    for has_text in (True, False):
        said = _completion(output, [1, 2], byte_tokenizer(100), has_text)
        assert said.text == "aΩ"
        assert said.text_ends_T is not None and said.text_ends_T.tolist() == [1, 1, 2, 2]
    assert _completion(output, [1, 2], None, has_text=True).text_ends_T is None
