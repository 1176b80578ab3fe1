"""The publishing side of a weight sync: into the store, then a push to the replicas known now.

The push is the fast path and no more. A replica that it misses (too slow, just started, unknown to
this handle) pulls the version on its own before it answers a request that asks for it; so a failed
push is something to count and to report, never a reason to stop.

Both functions block. From a coroutine, call them by ``asyncio.to_thread``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import ray
import torch
from ray.actor import ActorHandle
from ray.serve.handle import DeploymentHandle

from raysgpo.weights.payload import pack, payload_bytes

ANSWER_GRACE = 2.0
"""Seconds that a replica's own "I ran out of time" may take to reach us after the deadline."""


@dataclass(frozen=True, slots=True)
class UpdateReply:
    """What a replica says about a push: the version it holds now, and what went wrong, if anything."""

    replica_id: str
    version: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PushReport:
    """What became of one push."""

    version: int
    landed: dict[str, int]
    """Replica to the version that it holds now: at least ``version``."""
    failures: tuple[str, ...]
    """One line for each replica that did not land, with the reason."""
    publish_seconds: float
    """Packing and writing to the store."""
    push_seconds: float
    num_bytes: int

    @property
    def complete(self) -> bool:
        """Did every replica that the handle knew take the weights?"""
        return not self.failures


def publish_weights(
    store: ActorHandle,
    handle: DeploymentHandle,
    version: int,
    named_tensors: Iterable[tuple[str, torch.Tensor]],
    deadline: float,
) -> PushReport:
    """Publish full CPU tensors as ``version``, then push them.

    Args:
        deadline: seconds for the push (the replicas' own limit for one update); writing to the store
            has as many again. A dead or hung replica costs no more than that plus ``ANSWER_GRACE``.

    Raises:
        ValueError: ``version`` is not above every earlier one.
        RuntimeError: the store did not take the weights, so that no replica could ever pull them.
    """
    started = time.monotonic()
    payload = pack(named_tensors)
    try:
        ray.get(store.publish.remote(version, payload), timeout=deadline)
    except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
        raise RuntimeError(f"the weight store did not take version {version}: {error}") from error
    published = time.monotonic()
    landed, failures = push_version(handle, version, deadline)
    return PushReport(
        version=version,
        landed=landed,
        failures=failures,
        publish_seconds=published - started,
        push_seconds=time.monotonic() - published,
        num_bytes=payload_bytes(payload),
    )


def push_version(handle: DeploymentHandle, version: int, deadline: float) -> tuple[dict[str, int], tuple[str, ...]]:
    """Tell every replica that ``handle`` knows to pull ``version`` now; (landed, failures).

    Membership is unknown: dead replicas are skipped by Serve without a word.
    """
    landed: dict[str, int] = {}
    failures: list[str] = []
    try:
        response = handle.broadcast("update", version, deadline)
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
