"""What rank 0 asks all replicas at once: who is there, and to take a version.

The push is the fast path and no more. A replica that it misses (too slow, just started, unknown to this handle)
pulls the version on its own before it answers a request that asks for it; so a failed push is something to
count and to report, never a reason to stop.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from raysgpo.weights.transport import Broadcast, Member, Replicas, UpdateReply, in_a_line

ROLL_CALL = 5.0
"""Seconds for a replica to say that it is there: its event loop has nothing else to do."""
ANSWER_GRACE = 2.0
"""Seconds that a replica's own "I ran out of time" may take to reach us after the deadline."""
LOOK = 0.5
"""Seconds between two looks at who has answered, where somebody has not."""


@dataclass(frozen=True, slots=True)
class Roll:
    """Who answered a roll call."""

    members: list[Member]
    silent: int
    """How many replicas did not, though they are not known to be dead."""


def call_roll(replicas: Replicas) -> Roll:
    try:
        said = replicas.broadcast("member").results(timeout_s=ROLL_CALL, return_exceptions=True)
    except Exception:  # no replica can be asked: the push will say why
        return Roll([], 0)
    members = [one for one in said if isinstance(one, Member)]
    return Roll(members, sum(isinstance(one, TimeoutError) for one in said))


def answers(call: Broadcast, deadline: float, members: Sequence[Member], silent: int | None = None) -> list[Any]:
    """Replies to a call, an exception for each replica that gave none. Within ``deadline`` seconds, and once all
    ``members`` have answered nobody waits for those that did not answer the roll.

    ``silent``: how many those are. There may be more: replicas that came after the roll, which answer. None: it does
    not matter what they say.
    """
    until = time.monotonic() + deadline
    while True:
        left = max(0.0, until - time.monotonic())
        replies = call.results(timeout_s=min(LOOK, left), return_exceptions=True)
        waited_for = {member.replica_id for member in members}
        waited_for -= {reply.replica_id for reply in replies if isinstance(reply, UpdateReply)}
        gone = sum(not isinstance(reply, UpdateReply | TimeoutError) for reply in replies)
        open_calls = sum(isinstance(reply, TimeoutError) for reply in replies)
        all_said = members and len(waited_for) <= gone and (silent is None or open_calls <= silent)
        if not open_calls or left == 0.0 or all_said:
            return replies


class Push:
    """All replicas are told to take a version, from ``start`` on; with an epoch they receive it in its group."""

    def __init__(self, replicas: Replicas, version: int, deadline: float, roll: Roll) -> None:
        self._replicas = replicas
        self._version = version
        self._deadline = deadline
        self._roll = roll
        self._replies: Future[list[Any]] | None = None

    def start(self, epoch: str = "") -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="push")
        self._replies = pool.submit(self._answers, epoch)
        pool.shutdown(wait=False)

    def _answers(self, epoch: str) -> list[Any]:
        call = self._replicas.broadcast("update", self._version, self._deadline, epoch)
        return answers(call, self._deadline + ANSWER_GRACE, self._roll.members, self._roll.silent)

    def outcome(self, names: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
        """(replica to the version that it holds, a line for each that did not land).

        ``names``: of replicas that were there at the push before this, for those that say nothing.
        """
        assert self._replies is not None, "start() comes first"
        landed: dict[str, int] = {}
        failures: list[str] = []
        try:
            replies = self._replies.result()
        except Exception as error:  # whatever stops the fast path, pulling on demand repairs it
            return {}, (f"the push of version {self._version} reached no replica: {self._reason(error)}",)
        silent: list[BaseException] = []
        for reply in replies:
            if not isinstance(reply, UpdateReply):
                silent.append(reply)
            elif reply.error is not None:
                failures.append(f"replica {reply.replica_id} did not take version {self._version}: {reply.error}")
            else:
                landed[reply.replica_id] = reply.version
        heard = {reply.replica_id for reply in replies if isinstance(reply, UpdateReply)}
        unheard = sorted({*names, *(member.replica_id for member in self._roll.members)} - heard)
        who = f"replica {', '.join(unheard)}" if 0 < len(unheard) <= len(silent) else "a replica"
        failures += [f"{who} gave no answer to version {self._version}: {self._reason(error)}" for error in silent]
        return landed, tuple(failures)

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            return "it did not answer the roll call" if self._roll.silent else "nothing came back in time"
        return in_a_line(error)
