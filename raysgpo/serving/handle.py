"""The handle of the rollout deployment, as mypy sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from raysgpo.records import Completion, SampleRequest
from raysgpo.remote import Request
from raysgpo.serving.replica import ReplicaState
from raysgpo.weights.transport import Epoch, Member, Replicas, UpdateReply


@dataclass(frozen=True, slots=True)
class RolloutService:
    """The rollout replicas of a run, for those who sample."""

    handle: RolloutHandle
    run_id: str


class RolloutHandle(Replicas, Protocol):
    """The handle of a deployment of :class:`raysgpo.serving.replica.RolloutReplica`."""

    @property
    def sample(self) -> Request[[SampleRequest, str], list[Completion]]: ...

    @property
    def update(self) -> Request[[int, float, str], UpdateReply]: ...

    @property
    def member(self) -> Request[[], Member]: ...

    @property
    def join(self) -> Request[[Epoch], UpdateReply]: ...

    @property
    def state(self) -> Request[[], ReplicaState]: ...

    @property
    def drop_requests(self) -> Request[[], ReplicaState]: ...
