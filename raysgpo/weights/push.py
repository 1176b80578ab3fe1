"""The push of a weight sync: the replicas known now are told to pull.

It is the fast path and no more. A replica that it misses (too slow, just started, unknown to this handle)
pulls the version on its own before it answers a request that asks for it; so a failed push is something to
count and to report, never a reason to stop.
"""

from __future__ import annotations

from raysgpo.weights.transport import Replicas, UpdateReply

ANSWER_GRACE = 2.0
"""Seconds that a replica's own "I ran out of time" may take to reach us after the deadline."""


def push_version(replicas: Replicas, version: int, deadline: float) -> tuple[dict[str, int], tuple[str, ...]]:
    """Tell every replica that the handle knows to pull ``version`` now, and wait for it; (landed, failures).

    Membership is unknown: dead replicas are skipped by Serve without a word.
    """
    landed: dict[str, int] = {}
    failures: list[str] = []
    try:
        response = replicas.broadcast("update", version, deadline)
        replies = response.results(timeout_s=deadline + ANSWER_GRACE, return_exceptions=True)
    except Exception as error:  # Whatever stops the fast path, pulling on demand repairs it.
        return {}, (f"the push of version {version} reached no replica: {_reason(error, deadline)}",)
    for reply in replies:
        if not isinstance(reply, UpdateReply):
            failures.append(f"a replica gave no answer to version {version}: {_reason(reply, deadline)}")
        elif reply.error is not None:
            failures.append(f"replica {reply.replica_id} did not take version {version}: {reply.error}")
        else:
            landed[reply.replica_id] = reply.version
    return landed, tuple(failures)


def _reason(error: BaseException, deadline: float) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came back within {deadline:g} s"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
