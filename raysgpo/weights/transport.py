"""How weights get from the trainer to the engines: what a transport promises, whatever carries the bytes.

    trainer rank 0 -- publish --> sender ......> transport -- receive --> replica -- pieces --> its engine

Trainer, replica and engine know this file and nothing of bytes. The bytes come by one of two ways, and the second is
always open: a broadcast in a group of rank 0 and all engine ranks (``weights.group``), and the weight store, from
which a replica pulls what it has missed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a replica must not wait for torch
    import torch

NOTHING_PUBLISHED = -1
"""The version of a store, or of a replica, that holds no published weights."""
BACKEND = "raysgpo"
"""The name under which vLLM's ``WeightTransferConfig`` knows the receiving side (``weights.transfer``)."""
WORKER_EXTENSION = "raysgpo.weights.transfer.WorkerExtension"
"""What brings it into vLLM's workers."""


def in_a_line(error: BaseException) -> str:
    """An error of torch's or Ray's, whose messages have many: its type and the first of them."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


NamedTensors = Iterable[tuple[str, "torch.Tensor"]]
"""(transformers' name, full tensor) of every parameter."""
Description = dict[str, Any]
"""What the engine's receiving side needs, in plain types."""


@dataclass(frozen=True, slots=True)
class Member:
    """A replica as it answers a roll call."""

    replica_id: str
    ranks: int
    """Processes of its engine, each of which receives all weights and keeps its part."""
    version: int
    epoch: str
    """Of the group that it has joined last; empty before the first."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The members of one broadcast group, and what it takes to join it. Rank 0 is the trainer's."""

    name: str
    backend: str
    """``gloo`` or ``nccl``."""
    host: str
    port: int
    world: int
    offsets: dict[str, int]
    """Replica to the rank of its engine's first process."""
    join_timeout: float
    """Seconds for all to come together."""
    timeout: float
    """Seconds from the begin of an update to its first chunk, and from one chunk to the next."""

    def invitation(self, replica_id: str) -> Description:
        """What the processes of a replica's engine are told."""
        return {
            "backend": self.backend,
            "host": self.host,
            "port": self.port,
            "world": self.world,
            "offset": self.offsets[replica_id],
            "join_timeout": self.join_timeout,
            "timeout": self.timeout,
        }


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
    problems: tuple[str, ...]
    """What went wrong with the broadcast; the replicas may have landed nonetheless."""
    meeting_seconds: float
    """Roll call, and joining a new group if the members have changed."""
    publish_seconds: float
    """Gathering, writing and sending, until the weights could be pulled by whoever asks."""
    push_seconds: float
    """From then until the last replica had answered."""
    num_bytes: int
    sent_bytes: int = 0
    """Broadcast; fewer than ``num_bytes`` where only what has changed is."""
    epochs: int = 0
    """Broadcast groups so far; 0 where nothing is broadcast."""

    @property
    def complete(self) -> bool:
        """Did every replica that the handle knew take the weights?"""
        return not self.failures


class Broadcast(Protocol):
    """The answers of all replicas to one call."""

    def results(self, timeout_s: float, return_exceptions: bool) -> list[Any]: ...


class Replicas(Protocol):
    """The handle of a deployment whose replicas have ``member()``, ``join(epoch)`` and
    ``update(version, deadline, epoch)``, which answer Member, UpdateReply and UpdateReply."""

    def broadcast(self, method: str, *args: Any) -> Broadcast: ...


class Weights(Protocol):
    """Weights of one version, on their way to an engine."""

    @property
    def version(self) -> int: ...

    def pieces(self) -> AsyncGenerator[Description]:
        """What the engine is to read, one after another; each lasts until the next is asked for."""
        ...

    async def spare(self) -> Weights | None:
        """The same version, or a newer one, by another way, after ``pieces`` have failed; None: there is none."""
        ...


class WeightSender(Protocol):
    """The trainer's side of a transport, at rank 0."""

    def publish(self, version: int, named_tensors: NamedTensors, deadline: float) -> PushReport:
        """Bring full tensors to all replicas as ``version``. It blocks, and exhausts the tensors whatever happens.

        Args:
            deadline: seconds for the push (the replicas' own limit for one update).

        Raises:
            ValueError: ``version`` is not above every earlier one.
            RuntimeError: no replica could ever receive the weights.
        """


class WeightTransport(Protocol):
    """One way from the trainer to the engines. It is pickled into trainer and replicas."""

    def sender(self, replicas: Replicas) -> WeightSender:
        """For rank 0 of the trainer, which keeps it."""

    async def receive(self, min_version: int, timeout: float) -> Weights:
        """The newest weights that were published, of ``min_version`` or above.

        Raises:
            TimeoutError: nothing that new was published within ``timeout`` seconds, or it did not arrive.
        """

    def broadcast(self, version: int, timeout: float) -> Weights:
        """Those that rank 0 is about to send to the group that the engine has joined."""


@dataclass(frozen=True, slots=True)
class Sync:
    """What the trainer learns of a publish."""

    metrics: dict[str, float]
    """How many replicas took them, and how many did not, seconds and bytes; empty where nobody wants them."""
    failures: tuple[str, ...] = ()
    """A line for each that did not, and for what went wrong on the way."""


class WeightPublisher(Protocol):
    """What the trainer does with new weights. All ranks call it, rank 0 ``publish`` and the others ``take_part``."""

    def publish(self, version: int, named_tensors: NamedTensors, deadline: float) -> Sync: ...

    def take_part(self, named_tensors: NamedTensors) -> None:
        """Gather with rank 0, where it gathers."""


@dataclass
class ReplicaPublisher:
    """To the replicas of a deployment, by a transport."""

    transport: WeightTransport
    replicas: Replicas
    _sender: WeightSender | None = field(default=None, init=False)
    """Of this process, once it has published."""

    def publish(self, version: int, named_tensors: NamedTensors, deadline: float) -> Sync:
        if self._sender is None:
            self._sender = self.transport.sender(self.replicas)
        report = self._sender.publish(version, named_tensors, deadline)
        metrics = {
            "sync/replicas": len(report.landed),
            "sync/failures": len(report.failures),
            "sync/bytes": report.num_bytes,
            "sync/meeting_seconds": report.meeting_seconds,
            "sync/publish_seconds": report.publish_seconds,
            "sync/push_seconds": report.push_seconds,
            "sync/epochs": report.epochs,
            "sync/sent_bytes": report.sent_bytes,
        }
        return Sync(metrics, (*report.problems, *report.failures))

    def take_part(self, named_tensors: NamedTensors) -> None:
        for _ in named_tensors:
            pass


@dataclass(frozen=True, slots=True)
class NobodyListens:
    """A publisher for a run without replicas."""

    def publish(self, version: int, named_tensors: NamedTensors, deadline: float) -> Sync:
        return Sync({})

    def take_part(self, named_tensors: NamedTensors) -> None:
        """Nothing is gathered."""
