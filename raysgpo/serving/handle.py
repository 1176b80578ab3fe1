"""The handle of the rollout deployment, as mypy sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from raysgpo.records import Beat, Completion, SampleRequest
from raysgpo.remote import Request, StreamRequest
from raysgpo.serving.replica import ReplicaState
from raysgpo.weights.transport import Epoch, Member, Replicas, UpdateReply


@dataclass(frozen=True, slots=True)
class RolloutService:
    """The rollout replicas of a run, for those who sample."""

    handle: RolloutHandle
    run_id: str


class SamplingHandle(Protocol):
    """The part of it whose answers come bit by bit."""

    @property
    def sample(self) -> StreamRequest[[SampleRequest, str], Beat | list[Completion]]: ...


class RolloutHandle(Replicas, Protocol):
    """The handle of a deployment of :class:`raysgpo.serving.replica.RolloutReplica`."""

    def options(self, *, stream: Literal[True]) -> SamplingHandle: ...

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
