"""A push reports what landed and what failed, and never takes longer than its deadline."""

from __future__ import annotations

from typing import Any

import pytest

from raysgpo.weights.push import ANSWER_GRACE, push_version
from raysgpo.weights.transport import UpdateReply

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
        return self.replies


def test_landed_failed_and_silent_replicas_are_told_apart() -> None:
    handle = Handle(
        [
            UpdateReply("a", 7),
            UpdateReply("b", 6, "ReplicaBroken: it broke"),
            UpdateReply("c", 8),
            TimeoutError(),
            ConnectionError("gone\nand a long traceback"),
        ]
    )
    landed, failures = push_version(handle, 7, deadline=3)
    assert landed == {"a": 7, "c": 8}
    assert failures == (
        "replica b did not take version 7: ReplicaBroken: it broke",
        "a replica gave no answer to version 7: nothing came back within 3 s",
        "a replica gave no answer to version 7: ConnectionError: gone",
    )
    assert handle.calls == [("update", 7, 3), (3 + ANSWER_GRACE, True)]


def test_a_push_that_reaches_nobody_is_a_report_and_no_exception() -> None:
    landed, failures = push_version(Handle(RuntimeError("no replicas")), 4, 1)
    assert landed == {}
    assert failures == ("the push of version 4 reached no replica: RuntimeError: no replicas",)
