"""Held outputs are those that came: the same tokens and logprobs of each request, under the same weights, no later than
its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import Queue
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.serving.held_outputs import HeldOutputs


class Logprobs(NamedTuple):
    """As vLLM's ``LogprobsLists``: a row a token."""

    logprob_token_ids: np.ndarray
    logprobs: np.ndarray
    sampled_token_ranks: np.ndarray
    cu_num_generated_tokens: list[int] | None = None


@dataclass
class Output:
    """Of vLLM's ``EngineCoreOutput`` what is touched."""

    request_id: str
    new_token_ids: list[int]
    new_logprobs: Logprobs
    finish_reason: str | None = None
    prefill_stats: str | None = None


@dataclass
class Outputs:
    outputs: list[Output] = field(default_factory=list)
    weight_version: str | None = None
    scheduler_stats: str | None = None
    finished_requests: set[str] | None = None


def of_step(request: str, token: int, ended: bool, first: bool) -> Output:
    logprobs = Logprobs(np.array([[token]]), np.array([[-token / 8]]), np.array([token % 3]))
    return Output(request, [token], logprobs, "stop" if ended else None, "stats" if first else None)


class Engine:
    """Requests of known lengths, a token each a step, before a queue that is watched."""

    def __init__(self, lengths: dict[str, int], streamed: frozenset[str] = frozenset(), hold: float = 1.0) -> None:
        self.queue: Queue[Any] = Queue()
        self.now = 0.0
        self.held = HeldOutputs(self.queue, lambda request: request not in streamed, hold, lambda: self.now)
        self._lengths, self._made = lengths, dict.fromkeys(lengths, 0)

    def step(self, version: str = "0", seconds: float = 0.0) -> bool:
        """Whether something is left to make."""
        self.now += seconds
        outputs = []
        for number, (request, length) in enumerate(self._lengths.items()):
            if (made := self._made[request]) < length:
                outputs.append(of_step(request, 100 * number + made, made + 1 == length, made == 0))
                self._made[request] += 1
        self.held.put_nowait((0, Outputs(outputs, version)))
        return any(self._made[request] < length for request, length in self._lengths.items())

    def passed(self) -> list[Outputs]:
        found = []
        while not self.queue.empty():
            client, outputs = self.held.get()
            assert client == 0
            found.append(outputs)
        return found


def test_a_request_comes_once_when_it_ends() -> None:
    engine = Engine({"short": 2, "long": 3})
    assert engine.step() and engine.passed() == []
    assert engine.step()
    [[short]] = [batch.outputs for batch in engine.passed()]
    assert (short.request_id, short.new_token_ids, short.finish_reason) == ("short", [0, 1], "stop")
    assert short.prefill_stats == "stats"  # of its first token
    assert not engine.step()
    [[long]] = [batch.outputs for batch in engine.passed()]
    assert long.new_token_ids == [100, 101, 102]
    np.testing.assert_array_equal(long.new_logprobs.logprobs, [[-12.5], [-12.625], [-12.75]])
    np.testing.assert_array_equal(long.new_logprobs.logprob_token_ids, [[100], [101], [102]])
    np.testing.assert_array_equal(long.new_logprobs.sampled_token_ranks, [1, 2, 0])


def test_what_is_read_as_it_comes_is_not_held() -> None:
    engine = Engine({"chat": 3, "rollout": 3}, streamed=frozenset({"chat"}))
    engine.step()
    [[output]] = [batch.outputs for batch in engine.passed()]
    assert (output.request_id, output.new_token_ids) == ("chat", [0])


def test_tokens_are_seen_to_grow() -> None:
    engine = Engine({"long": 100}, hold=1.0)
    engine.step()
    engine.step(seconds=0.9)
    assert engine.passed() == []
    engine.step(seconds=0.1)
    [batch] = engine.passed()
    assert batch.outputs[0].new_token_ids == [0, 1, 2] and batch.outputs[0].finish_reason is None
    engine.step()
    assert engine.passed() == []


def test_tokens_of_two_versions_are_never_one_output() -> None:
    engine = Engine({"long": 4})
    for version in ("0", "0", "1", "1"):
        engine.step(version)
    assert [(batch.weight_version, batch.outputs[0].new_token_ids) for batch in engine.passed()] == [
        ("0", [0, 1]),
        ("1", [2, 3]),
    ]


def test_an_aborted_request_is_not_kept() -> None:
    engine = Engine({"aborted": 100})
    engine.step()
    engine.held.put_nowait((0, Outputs([of_step("other", 7, True, True)], "0")))
    engine.passed()
    engine.now += 1.0
    engine.held.put_nowait((0, Outputs([of_step("third", 8, True, True)], "0")))
    assert [batch.outputs[0].request_id for batch in engine.passed()] == ["third", "aborted"]
    engine.held.put_nowait((0, Outputs([of_step("fourth", 9, True, True)], "1")))
    assert len(engine.passed()) == 1


def test_what_has_no_outputs_passes() -> None:
    engine = Engine({})
    dead, stats, answer = b"ENGINE_CORE_DEAD", (-1, Outputs(scheduler_stats="stats")), (0, Outputs())
    for item in (dead, stats, answer):
        engine.held.put_nowait(item)
    assert [engine.held.get() for _ in range(3)] == [dead, stats, answer]


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    streamed=st.sets(st.integers(0, 5)),
    updates=st.sets(st.integers(0, 12)),
    seconds=st.lists(st.sampled_from([0.0, 0.3, 2.0]), min_size=12, max_size=12),
)
def test_nothing_is_lost(lengths: list[int], streamed: set[int], updates: set[int], seconds: list[float]) -> None:
    named = {f"r{number}": length for number, length in enumerate(lengths)}
    engine = Engine(named, frozenset(f"r{number}" for number in streamed))
    version, made_under, step = 0, [], 0
    while True:
        version += step in updates
        made_under.append(str(version))
        if not engine.step(str(version), seconds[step]):
            break
        step += 1
    batches = engine.passed()
    for number, (request, length) in enumerate(named.items()):
        parts = [
            (batch.weight_version, part) for batch in batches for part in batch.outputs if part.request_id == request
        ]
        tokens = [(version, token) for version, part in parts for token in part.new_token_ids]
        assert tokens == [(made_under[k], 100 * number + k) for k in range(length)]
        rows = np.concatenate([part.new_logprobs.logprobs[:, 0] for _, part in parts])
        np.testing.assert_array_equal(rows, [-(100 * number + k) / 8 for k in range(length)])
        assert [part.finish_reason for _, part in parts] == [None] * (len(parts) - 1) + ["stop"]
