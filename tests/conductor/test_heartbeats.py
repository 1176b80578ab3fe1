"""A group worker that hangs is killed, and no other."""

from __future__ import annotations

import pytest

from raysgpo.conductor.heartbeats import PATIENCE, Heartbeats

pytestmark = pytest.mark.ray


def test_who_is_silent_is_killed_once_and_may_come_back() -> None:
    now, killed = [0.0], list[str]()
    heartbeats = Heartbeats(killed.append, lambda: now[0])
    heartbeats.heard("a", "handle of a", 0)
    heartbeats.heard("b", "handle of b", 0)
    now[0] = PATIENCE
    assert heartbeats.kill_silent() == 0
    heartbeats.heard("b", "handle of b", 0)
    now[0] = PATIENCE + 1
    assert (heartbeats.kill_silent(), killed) == (1, ["handle of a"])
    assert heartbeats.kill_silent() == 0, "it may take its time to start again"
    heartbeats.heard("a", "handle of a", 0)
    now[0] = 2 * PATIENCE + 1
    assert (heartbeats.kill_silent(), killed) == (1, ["handle of a", "handle of b"])


def test_the_last_progress_is_that_of_whichever_worker_got_on_last() -> None:
    now = [100.0]
    heartbeats = Heartbeats(lambda worker: None, lambda: now[0])
    now[0] = 110.0
    assert heartbeats.progress_ago == 10, "nobody was heard of"
    heartbeats.heard("a", "handle of a", 3.0)
    heartbeats.heard("b", "handle of b", 50.0)
    now[0] = 115.0
    assert heartbeats.progress_ago == 8
    heartbeats.heard("a", "handle of a", 90.0)
    assert heartbeats.progress_ago == 8, "it was started again"
