"""What is tried again, for how long, and what is told meanwhile."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from raysgpo.config import RolloutConfig
from raysgpo.groups import retrying_sampler
from raysgpo.groups.retrying_sampler import ReplicasUnavailable, RetryingSampler, SamplingFailed
from raysgpo.records import Completion, SampleRequest

REQUEST = SampleRequest([1], (3,), 8, 1.0)
ANSWER = [Completion(np.array([5], np.int32), np.array([-0.5], np.float32), "stop", "x", ((1, 1),))]


class Replica:
    """Fails as it is told, one word a request, and answers from then on."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> list[Completion]:
        self.asked.append(request)
        if self.failures:
            raise self.failures.pop(0)
        return ANSWER


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying_sampler, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(retrying_sampler, "LONGEST_PAUSE", 0.002)


def sampled(replica: Replica, told: list[str] | None = None, **settings: float) -> tuple[list[Completion], int]:
    sampler = RetryingSampler(replica, RolloutConfig(**settings), (told if told is not None else []).append)
    return asyncio.run(sampler(REQUEST))


def test_the_same_request_is_sent_again_and_its_failures_are_counted() -> None:
    replica = Replica(SamplingFailed("one"), ReplicasUnavailable("gone"))
    assert sampled(replica) == (ANSWER, 2)
    assert replica.asked == [REQUEST] * 3


def test_a_request_that_fails_is_given_up_after_its_attempts() -> None:
    replica = Replica(*[SamplingFailed(str(n)) for n in range(9)])
    with pytest.raises(SamplingFailed, match="2"):
        sampled(replica, attempts=3)
    assert len(replica.asked) == 3


def test_an_outage_costs_no_attempt_and_is_told() -> None:
    told: list[str] = []
    replica = Replica(*[ReplicasUnavailable("the replica died")] * 20)
    assert sampled(replica, told, attempts=1) == (ANSWER, 20)
    assert set(told) == {"waiting for a rollout replica: the replica died"}


def test_an_outage_ends_with_the_time_that_replicas_may_take_to_start() -> None:
    replica = Replica(*[ReplicasUnavailable("gone")] * 10_000)
    with pytest.raises(ReplicasUnavailable):
        sampled(replica, start_deadline=0.05)
    assert 5 < len(replica.asked) < 10_000


def test_an_answer_that_does_not_come_is_not_waited_for_any_more() -> None:
    cancelled = []

    async def hang(request: SampleRequest) -> list[Completion]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(request)
            raise
        return ANSWER

    with pytest.raises(SamplingFailed, match=r"rollout\.sample_deadline=0\.01 s"):
        asyncio.run(RetryingSampler(hang, RolloutConfig(sample_deadline=0.01, attempts=2))(REQUEST))
    assert cancelled == [REQUEST] * 2
