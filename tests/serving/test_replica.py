"""A replica answers nothing early, pulls once, never steps back, and dies of a half-done update.

In this process, on the fake engine, with a store whose references are the payloads themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from raysgpo.config import RolloutConfig
from raysgpo.records import Beat, Completion, SampleRequest
from raysgpo.serving import replica as replica_file
from raysgpo.serving.reloading import OnUpdate
from raysgpo.serving.replica import ReplicaBroken, RolloutReplica, WrongRun
from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.store import WeightsNotPublished
from raysgpo.weights.store_transport import StoreTransport
from tests.serving.fake_engine import FakeEngine, fake_engine
from tests.serving.local_store import LocalStore, weights

pytestmark = pytest.mark.ray


class Setting:
    """One replica on the fake engine, its store, and whether its process has ended."""

    exits: list[int]
    store: LocalStore
    replica: RolloutReplica

    @property
    def engine(self) -> FakeEngine:
        engine = self.replica._engine
        assert isinstance(engine, FakeEngine)
        return engine

    @classmethod
    async def build(
        cls,
        update_deadline: float = 5.0,
        on_update: OnUpdate = "recompute",
        token_deadline: float = 20.0,
        **engine: Any,
    ) -> Setting:
        self = cls()
        self.exits = []
        self.store = LocalStore()
        self.replica = RolloutReplica.__new__(RolloutReplica)
        rollout = RolloutConfig(
            update_deadline=update_deadline, on_update=on_update, token_deadline=token_deadline, engine=engine
        )
        await RolloutReplica.__init__(
            self.replica,
            "model",
            rollout,
            StoreTransport(self.store),
            fake_engine,
            replica_id="r1",
            end_process=self.exits.append,
        )
        return self


def request(min_version: int, seeds: tuple[int, ...] = (1, 2)) -> SampleRequest:
    return SampleRequest([1, 2, 3], seeds, 8, 1.0, min_version=min_version)


async def sampled(here: Setting, wanted: SampleRequest, run_id: str = "") -> list[Completion]:
    """The completions, the beats before them left out."""
    said = [said async for said in here.replica.sample(wanted, run_id)]
    assert all(isinstance(beat, Beat) for beat in said[:-1]) and isinstance(said[-1], list)
    return said[-1]


def versions_of(completions: list[Any]) -> set[int]:
    return {version for c in completions for version, _ in c.weight_versions}


def test_it_waits_for_the_version_asked_for_and_answers_with_it() -> None:
    async def scenario() -> None:
        here = await Setting.build()
        await here.store.put(0)
        assert versions_of(await sampled(here, request(0))) == {0}
        answer = asyncio.create_task(sampled(here, request(1)))
        await asyncio.sleep(0.1)
        assert not answer.done(), "it answered before version 1 existed"
        await here.store.put(1)
        assert versions_of(await answer) == {1}

    asyncio.run(scenario())


def test_waiting_requests_share_one_pull_and_one_update() -> None:
    async def scenario() -> None:
        here = await Setting.build(update_seconds=0.1)
        await here.store.put(3)
        answers = await asyncio.gather(*(sampled(here, request(v)) for v in (0, 1, 2, 3, 3)))
        assert [versions_of(a) for a in answers] == [{3}] * 5
        assert here.store.pulls == 4, "one for each version asked for"
        assert here.engine.events == ["pause", "start", "load", "finish", "resume"]

    asyncio.run(scenario())


@pytest.mark.parametrize("on_update", ["recompute", "keep_cache", "drain"])
def test_answers_under_way_go_on_under_new_weights_or_are_waited_for(on_update: OnUpdate) -> None:
    async def scenario() -> None:
        here = await Setting.build(on_update=on_update, token_seconds=0.02, answers=["abcdefg"])
        await here.store.put(0)
        under_way = asyncio.create_task(sampled(here, request(0)))
        await asyncio.sleep(0.08)
        await here.store.put(1)
        reply = asyncio.create_task(here.replica.update(1, 5))
        await asyncio.sleep(0)
        later = asyncio.create_task(sampled(here, request(1)))
        assert (await reply).version == 1
        assert under_way.done() == (on_update == "drain")
        assert versions_of(await under_way) == ({0} if on_update == "drain" else {0, 1})
        assert versions_of(await later) == {1}

    asyncio.run(scenario())


def test_waiting_for_the_longest_answer_counts_in_the_deadline_of_an_update() -> None:
    assert RolloutConfig(max_model_len=32_768).update_seconds == 60
    assert RolloutConfig(max_model_len=32_768, on_update="drain").update_seconds == 60 + 16_384
    assert RolloutConfig(max_model_len=32_768, on_update="drain", gpus=1).update_seconds == pytest.approx(3336.8)


def test_a_request_that_gives_up_does_not_cancel_the_pull_of_the_others() -> None:
    async def scenario() -> None:
        here = await Setting.build(update_seconds=0.2)
        await here.store.put(0)
        first = asyncio.create_task(sampled(here, request(0)))
        second = asyncio.create_task(sampled(here, request(0)))
        await asyncio.sleep(0.05)
        first.cancel()
        assert versions_of(await second) == {0}
        assert (await here.replica.state()).broken is None

    asyncio.run(scenario())


def test_a_push_is_idempotent_and_never_steps_back() -> None:
    async def scenario() -> None:
        here = await Setting.build()
        await here.store.put(4)
        replies = [await here.replica.update(v, 5) for v in (4, 4, 2)]
        assert [(r.replica_id, r.version, r.error) for r in replies] == [("r1", 4, None)] * 3
        assert here.store.pulls == 1
        state = await here.replica.state(checksums=True)
        assert (state.version, state.checksums) == (4, named_checksums(weights(4).items()))

    asyncio.run(scenario())


def test_weights_that_nobody_publishes_cost_the_deadline_and_not_the_replica() -> None:
    async def scenario() -> None:
        here = await Setting.build(update_deadline=0.2)
        await here.store.put(0)
        with pytest.raises(WeightsNotPublished, match="version 9"):
            await sampled(here, request(9))
        reply = await here.replica.update(9, 0.1)
        assert reply.error is not None
        assert versions_of(await sampled(here, request(0))) == {0}
        await here.replica.check_health()
        assert here.exits == []

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", ["raise", "hang"])
def test_a_half_done_update_ends_the_replica(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_file, "EXIT_GRACE", 0.1)
    monkeypatch.setattr(replica_file, "SHUTDOWN_LIMIT", 0.1)

    async def scenario() -> None:
        here = await Setting.build(update_deadline=0.3, fault=fault, fault_version=1)
        await here.store.put(0)
        await sampled(here, request(0))
        await here.store.put(1)
        started = time.monotonic()
        reply = await here.replica.update(1, 30)
        assert time.monotonic() - started < 20, "bounded by rollout.update_deadline, and not by the push"
        assert reply.version == 0
        assert "update to version 1 failed" in str(reply.error)
        with pytest.raises(ReplicaBroken, match="version 1"):
            await here.replica.check_health()
        for min_version in (0, 1):  # Not even with the version that it once held.
            with pytest.raises(ReplicaBroken):
                await sampled(here, request(min_version))
        assert here.exits == [1]

    asyncio.run(scenario())


def test_one_completion_a_seed_in_their_order() -> None:
    async def scenario() -> None:
        here = await Setting.build(answers=["zero", "one", "two"])
        await here.store.put(0)
        completions = await sampled(here, request(0, seeds=(2, 0, 1, 2)))
        assert [c.text for c in completions] == ["two", "zero", "one", "two"]

    asyncio.run(scenario())


def test_a_prompt_that_is_too_long_is_the_callers_error_and_no_fault() -> None:
    async def scenario() -> None:
        here = await Setting.build(max_model_len=3)
        await here.store.put(0)
        with pytest.raises(ValueError, match="max_model_len=3"):
            await sampled(here, request(0))
        await here.replica.check_health()

    asyncio.run(scenario())


def test_another_runs_request_is_refused() -> None:
    async def scenario() -> None:
        here = await Setting.build()
        await here.store.put(0)
        with pytest.raises(WrongRun, match="asked by the run other"):
            await sampled(here, request(0), "other")
        await here.replica.check_health()

    asyncio.run(scenario())


def test_requests_whose_askers_are_gone_are_dropped_and_the_next_is_answered() -> None:
    async def scenario() -> None:
        here = await Setting.build(token_seconds=60.0)
        await here.store.put(3)
        left = asyncio.create_task(sampled(here, request(3)))
        await asyncio.sleep(0.1)
        assert (await here.replica.drop_requests()).version == 3
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(left, 10)
        here.engine._token_seconds = 0.0
        assert versions_of(await sampled(here, request(3))) == {3}

    asyncio.run(scenario())


def test_an_engine_that_makes_no_token_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Serve asks for its health no more, as of a replica that it shuts down."""
    monkeypatch.setattr(replica_file, "EXIT_GRACE", 0.1)
    monkeypatch.setattr(replica_file, "SHUTDOWN_LIMIT", 0.1)

    async def scenario() -> None:
        here = await Setting.build(token_deadline=0.2, fault="freeze")
        await here.store.put(0)
        await asyncio.sleep(0.3)
        await here.replica.check_health()  # it has nothing to do
        started, beats = time.monotonic(), list[Beat | list[Completion]]()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.6):
                async for said in here.replica.sample(request(0)):
                    beats.append(said)
        assert time.monotonic() - started > 0.5, "it was not answered"
        assert beats and set(map(repr, beats)) == {repr(Beat(tokens=0, updating=False))}
        with pytest.raises(ReplicaBroken, match=r"no token within rollout\.token_deadline=0\.2 s, with 2 answers"):
            await here.replica.check_health()
        assert here.exits == [1]

    asyncio.run(scenario())


def test_a_long_answer_is_told_of_by_beats_and_breaks_nothing() -> None:
    async def scenario() -> None:
        here = await Setting.build(token_deadline=0.2, token_seconds=0.08, answers=["abcdefg"])
        await here.store.put(0)
        said = await _all(here.replica.sample(request(0)))
        tokens = [beat.tokens for beat in said if isinstance(beat, Beat)]
        assert len(tokens) > 6 and tokens == sorted(tokens) and max(tokens) >= 12
        assert said[-1][0].text == "abcdefg"
        await here.replica.check_health()

    asyncio.run(scenario())


def test_what_queues_behind_others_gets_on_with_them() -> None:
    async def scenario() -> None:
        here = await Setting.build(token_deadline=0.2, token_seconds=0.05, answers=["abcdefg"], at_once=1)
        await here.store.put(0)
        asked = [here.replica.sample(request(0, seeds=(n,))) for n in range(3)]
        answers = await asyncio.gather(*(_all(answer) for answer in asked))
        last = max(answers, key=len)
        assert len(last) > 10, "it waited for two others"
        await here.replica.check_health()

    asyncio.run(scenario())


def test_an_update_is_not_taken_for_an_engine_that_gets_nowhere() -> None:
    async def scenario() -> None:
        here = await Setting.build(token_deadline=0.2, update_seconds=0.6, token_seconds=0.02, answers=["abcdefg"])
        await here.store.put(0)
        assert (await here.replica.update(0, 5)).error is None
        answer = asyncio.create_task(_all(here.replica.sample(request(0))))
        await asyncio.sleep(0.05)
        await here.store.put(1)
        update = asyncio.create_task(here.replica.update(1, 5))
        while not update.done():
            await here.replica.check_health()
            await asyncio.sleep(0.05)
        assert update.result().error is None
        said = await answer
        assert any(beat.updating for beat in said[:-1]) and versions_of(said[-1]) == {0, 1}
        await here.replica.check_health()

    asyncio.run(scenario())


async def _all(answer: AsyncIterator[Any]) -> list[Any]:
    return [said async for said in answer]
