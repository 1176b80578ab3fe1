"""The handle of the rollout deployment, as mypy sees it."""

from __future__ import annotations

from typing import Protocol

from raysgpo.records import Completion, SampleRequest
from raysgpo.remote import Request
from raysgpo.serving.replica import ReplicaState
from raysgpo.weights.transport import Replicas, UpdateReply


class RolloutHandle(Replicas, Protocol):
    """The handle of a deployment of :class:`raysgpo.serving.replica.RolloutReplica`."""

    @property
    def sample(self) -> Request[[SampleRequest], list[Completion]]: ...

    @property
    def update(self) -> Request[[int, float], UpdateReply]: ...

    @property
    def state(self) -> Request[[], ReplicaState]: ...
