"""How long the conductor waits for groups: as long as any of them gets on."""

from __future__ import annotations

import asyncio
import time

import pytest

from raysgpo.conductor import live_source
from raysgpo.conductor.live_source import LiveSource
from raysgpo.conductor.progress import Progress
from raysgpo.conductor.run_state import RunState
from raysgpo.conductor.stream import stall_deadline
from raysgpo.conductor.versions import Versions
from raysgpo.groups.prepared import StartState
from raysgpo.groups.tickets import Tickets
from raysgpo.groups.window import run_window
from raysgpo.serving.handle import RolloutService
from tests.conductor.fake_rollout import FakeHandle
from tests.conductor.fakes import prepared_for, settings
from tests.resolved import resolved

pytestmark = pytest.mark.ray

STALL = 0.3


def waiting_source() -> LiveSource:
    """Its first step has no group yet."""
    prepared = prepared_for(settings(), steps=1)
    window = run_window(prepared.config, 0, 0, 1)
    tickets = Tickets(prepared, StartState(), window)
    state = RunState(prepared, window, tickets, Versions(0), Progress(1), lambda line: None)
    handle: object = FakeHandle(None)
    return LiveSource(state, rollout=RolloutService(handle, ""))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_source, "LOOK", 0.02)
    monkeypatch.setattr(live_source, "stall_deadline", lambda config: STALL)


def test_a_step_is_waited_for_while_its_groups_get_on_and_no_longer() -> None:
    async def scenario() -> None:
        source, started = waiting_source(), time.monotonic()
        waiting = asyncio.create_task(source.groups(0))
        while time.monotonic() - started < 4 * STALL:
            source.beat("worker", None, 0.0)
            await asyncio.sleep(0.05)
        assert not waiting.done()
        last = time.monotonic()
        with pytest.raises(RuntimeError, match=r"no group arrived or got on for 0 s; step 0 still waits for 2 groups"):
            await waiting
        assert time.monotonic() - last > STALL / 2 and source.failure is not None

    asyncio.run(scenario())


def test_workers_that_live_and_get_nowhere_are_no_progress() -> None:
    async def scenario() -> None:
        source, started = waiting_source(), time.monotonic()
        waiting = asyncio.create_task(source.groups(0))
        while not waiting.done():
            assert time.monotonic() - started < 20
            source.beat("worker", None, time.monotonic() - started)
            await asyncio.sleep(0.05)
        assert isinstance(waiting.exception(), RuntimeError)

    asyncio.run(scenario())


def test_the_deadline_follows_from_waits_and_not_from_lengths() -> None:
    words = ["rollout.start_deadline=300", "rollout.token_deadline=120", "rollout.attempts=3", "judge.deadline=600"]
    # 3 (120 + 10) of sampling, 600 of a vote, 20 * 5 of a grade, 120 until a worker counts as hung
    expected = 300 + 390 + 600 + 100 + 120
    for length in ("sampling.max_tokens=64", "sampling.max_tokens=32768", "prompts_per_step=4096"):
        assert stall_deadline(resolved(settings(*words, length))) == expected
    assert stall_deadline(resolved(settings(*words, "algorithm=grpo"))) == expected - 600
