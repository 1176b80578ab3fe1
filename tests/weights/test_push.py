"""A push reports what landed and what failed, and waits for nobody who was silent at the roll call."""

from __future__ import annotations

import time
from typing import Any

import pytest

from raysgpo.weights import push
from raysgpo.weights.push import ANSWER_GRACE, LOOK, ROLL_CALL, Push, Roll, call_roll
from raysgpo.weights.transport import Member, UpdateReply

pytestmark = pytest.mark.ray


class Handle:
    """A deployment handle whose replicas answer what the test says."""

    def __init__(self, replies: list[Any] | Exception) -> None:
        self.replies = replies
        self.calls: list[Any] = []

    def broadcast(self, method: str, *args: Any) -> Handle:
        self.calls.append((method, *args))
        return self

    def results(self, timeout_s: float, return_exceptions: bool) -> list[Any]:
        self.calls.append((timeout_s, return_exceptions))
        if isinstance(self.replies, Exception):
            raise self.replies
        if any(isinstance(reply, TimeoutError) for reply in self.replies):
            time.sleep(timeout_s)
        return self.replies


def members(*names: str) -> list[Member]:
    return [Member(name, 1, 6, "") for name in names]


def pushed(handle: Handle, roll: Roll, deadline: float, known: tuple[str, ...] = ()) -> Any:
    one = Push(handle, 7, deadline, roll)
    one.start("e")
    return one.outcome(known)


def test_landed_failed_and_lost_replicas_are_told_apart() -> None:
    handle = Handle(
        [
            UpdateReply("a", 7),
            UpdateReply("b", 6, "ReplicaBroken: it broke"),
            UpdateReply("c", 8),
            ConnectionError("gone\nand a long traceback"),
        ]
    )
    landed, failures = pushed(handle, Roll(members("a", "b", "c", "d"), 0), 3)
    assert landed == {"a": 7, "c": 8}
    assert failures == (
        "replica b did not take version 7: ReplicaBroken: it broke",
        "replica d gave no answer to version 7: ConnectionError: gone",
    )
    assert handle.calls == [("update", 7, 3, "e"), (LOOK, True)]


def test_who_was_silent_at_the_roll_call_is_named_and_not_waited_for() -> None:
    handle, started = Handle([UpdateReply("a", 7), TimeoutError()]), time.monotonic()
    landed, failures = pushed(handle, Roll(members("a"), 1), 60, known=("a", "b"))
    assert time.monotonic() - started < 20
    assert landed == {"a": 7}
    assert failures == ("replica b gave no answer to version 7: it did not answer the roll call",)


def test_who_answered_the_roll_call_is_waited_for_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "LOOK", 0.05)
    monkeypatch.setattr(push, "ANSWER_GRACE", 0.1)
    handle, started = Handle([UpdateReply("a", 7), TimeoutError()]), time.monotonic()
    landed, failures = pushed(handle, Roll(members("a", "b"), 0), 0.3)
    assert 0.4 <= time.monotonic() - started < 20
    assert landed == {"a": 7}
    assert failures == ("replica b gave no answer to version 7: nothing came back in time",)
    assert ANSWER_GRACE > 0


def test_who_came_after_the_roll_call_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "LOOK", 0.05)

    class Late(Handle):
        def results(self, timeout_s: float, return_exceptions: bool) -> list[Any]:
            found = super().results(timeout_s, return_exceptions)
            if len(self.calls) > 3:
                self.replies = [UpdateReply("a", 7), UpdateReply("b", 7)]
            return found

    assert pushed(Late([UpdateReply("a", 7), TimeoutError()]), Roll(members("a"), 0), 60) == ({"a": 7, "b": 7}, ())


def test_a_push_that_reaches_nobody_is_a_report_and_no_exception() -> None:
    landed, failures = pushed(Handle(RuntimeError("no replicas")), Roll([], 0), 1)
    assert landed == {}
    assert failures == ("the push of version 7 reached no replica: RuntimeError: no replicas",)


def test_the_roll_counts_who_is_silent_and_forgets_who_is_dead() -> None:
    handle = Handle([*members("a", "b"), ConnectionError("gone")])
    assert call_roll(handle) == Roll(members("a", "b"), 0)
    assert handle.calls == [("member",), (ROLL_CALL, True)]
    assert call_roll(Handle(RuntimeError("no replicas"))) == Roll([], 0)
