"""A group worker that hangs is killed, and no other."""

from __future__ import annotations

import pytest

from raysgpo.conductor.heartbeats import PATIENCE, Heartbeats

pytestmark = pytest.mark.ray


def test_who_is_silent_is_killed_once_and_may_come_back() -> None:
    now, killed = [0.0], list[str]()
    heartbeats = Heartbeats(killed.append, lambda: now[0])
    heartbeats.heard("a", "handle of a")
    heartbeats.heard("b", "handle of b")
    now[0] = PATIENCE
    assert heartbeats.kill_silent() == 0
    heartbeats.heard("b", "handle of b")
    now[0] = PATIENCE + 1
    assert (heartbeats.kill_silent(), killed) == (1, ["handle of a"])
    assert heartbeats.kill_silent() == 0, "it may take its time to start again"
    heartbeats.heard("a", "handle of a")
    now[0] = 2 * PATIENCE + 1
    assert (heartbeats.kill_silent(), killed) == (1, ["handle of a", "handle of b"])
