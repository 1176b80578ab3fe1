"""What is tried again, for how long, and what is told meanwhile."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from raysgpo.config import RolloutConfig
from raysgpo.groups import retrying_sampler
from raysgpo.groups.retrying_sampler import Answer, ReplicasUnavailable, RetryingSampler, SamplingFailed
from raysgpo.records import Beat, Completion, SampleRequest

REQUEST = SampleRequest([1], (3,), 8, 1.0)
ANSWER = [Completion(np.array([5], np.int32), np.array([-0.5], np.float32), "stop", "x", ((1, 1),))]


class Replica:
    """Fails as it is told, one word a request, and answers from then on."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> Answer:
        self.asked.append(request)
        if self.failures:
            raise self.failures.pop(0)
        yield ANSWER


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


class Beating:
    """Tells ``beats``, a pause before each, then answers, or hangs; remembers who gave up."""

    def __init__(self, *beats: Beat, pause: float, hangs: bool = False) -> None:
        self.beats, self.pause, self.hangs = beats, pause, hangs
        self.given_up = 0

    async def __call__(self, request: SampleRequest) -> Answer:
        try:
            for beat in self.beats:
                await asyncio.sleep(self.pause)
                yield beat
            await asyncio.sleep(60 if self.hangs else self.pause)
            yield ANSWER
        except asyncio.CancelledError:
            self.given_up += 1
            raise


def told(replica: Beating, **settings: float) -> tuple[list[Completion], int]:
    """The completions, and how often it was told that they got on."""
    times: list[int] = []
    sampler = RetryingSampler(
        replica, RolloutConfig(token_deadline=0.3, attempts=2, **settings), progressed=lambda: times.append(1)
    )
    return asyncio.run(sampler(REQUEST))[0], len(times)


def test_an_answer_that_takes_many_deadlines_is_waited_for_while_tokens_come() -> None:
    beats = [Beat(tokens=n, updating=False) for n in range(20)]
    assert told(Beating(*beats, pause=0.05)) == (ANSWER, 21)


def test_an_update_of_the_weights_is_waited_for_without_tokens() -> None:
    assert told(Beating(*[Beat(tokens=5, updating=True)] * 20, pause=0.05)) == (ANSWER, 21)


def test_an_answer_without_a_token_is_not_waited_for_any_more() -> None:
    replica = Beating(*[Beat(tokens=5, updating=False)] * 20, pause=0.05)
    with pytest.raises(SamplingFailed, match=r"no token within rollout\.token_deadline=0\.3 s"):
        told(replica)
    assert replica.given_up == 2


def test_a_replica_that_falls_silent_is_not_waited_for_any_more() -> None:
    replica = Beating(Beat(tokens=5, updating=False), pause=0.0, hangs=True)
    with pytest.raises(SamplingFailed, match="no token within"):
        told(replica)
    assert replica.given_up == 2


def test_a_request_that_no_replica_takes_waits_for_them_as_long_as_they_may_take_to_start() -> None:
    replica = Beating(pause=0.0, hangs=True)
    with pytest.raises(ReplicasUnavailable, match=r"no replica took the request within rollout\.token_deadline=0\.3"):
        told(replica, start_deadline=1.5)
    assert replica.given_up > 2, "it costs no attempt"


class Dying:
    """Its first ``deaths`` replicas die after so many beats."""

    def __init__(self, deaths: int, beats: int, pause: float) -> None:
        self.left, self.beats, self.pause = deaths, beats, pause

    async def __call__(self, request: SampleRequest) -> Answer:
        self.left -= 1
        for tokens in range(self.beats):
            await asyncio.sleep(self.pause)
            yield Beat(tokens, updating=False)
        if self.left >= 0:
            raise ReplicasUnavailable("it died")
        yield ANSWER


def test_a_replica_that_dies_late_in_an_answer_was_no_outage_before() -> None:
    settings = RolloutConfig(start_deadline=0.2, token_deadline=5.0, attempts=1)
    dying = Dying(deaths=1, beats=10, pause=0.05)
    assert asyncio.run(RetryingSampler(dying, settings)(REQUEST)) == (ANSWER, 1)


def test_a_request_that_replicas_die_of_is_given_up() -> None:
    dying = Dying(deaths=10_000, beats=1, pause=0.001)
    with pytest.raises(ReplicasUnavailable, match="it died"):
        asyncio.run(RetryingSampler(dying, RolloutConfig(token_deadline=5.0))(REQUEST))
    assert dying.left == 10_000 - retrying_sampler.MOST_DEATHS - 1
