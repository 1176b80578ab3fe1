"""How weights get from the trainer to the engines: what a transport promises, whatever carries the bytes.

    trainer rank 0 -- publish --> transport ......> transport -- receive --> replica -- offered --> its engine

Trainer, replica and engine know this file and nothing of bytes. The first transport is
:class:`raysgpo.weights.store_transport.StoreTransport`; another (GPU to GPU) is one more class, and a receiving
side that vLLM knows by ``backend``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a replica must not wait for torch
    import torch

NamedTensors = Iterable[tuple[str, "torch.Tensor"]]
"""(transformers' name, full tensor) of every parameter."""
Description = dict[str, Any]
"""What the engine's receiving side needs, in plain types."""


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
    """Until the weights could be received by whoever asks."""
    push_seconds: float
    num_bytes: int

    @property
    def complete(self) -> bool:
        """Did every replica that the handle knew take the weights?"""
        return not self.failures


class Broadcast(Protocol):
    """The answers of all replicas to one call."""

    def results(self, timeout_s: float, return_exceptions: bool) -> list[Any]: ...


class Replicas(Protocol):
    """The handle of a deployment whose replicas have ``update(version, deadline) -> UpdateReply``."""

    def broadcast(self, method: str, *args: Any) -> Broadcast: ...


class Weights(Protocol):
    """Weights of one version, on the machine of the replica that received them."""

    @property
    def version(self) -> int: ...

    def offered(self) -> AbstractContextManager[Description]:
        """Lay them ready for the engine, for as long as the block lasts."""


class WeightTransport(Protocol):
    """One way from the trainer to the engines. It is pickled into trainer and replicas."""

    @property
    def backend(self) -> str:
        """The name under which vLLM knows the receiving side."""

    @property
    def worker_extension(self) -> str:
        """Import path of the class that brings the receiving side into vLLM's workers."""

    def publish(self, replicas: Replicas, version: int, named_tensors: NamedTensors, deadline: float) -> PushReport:
        """Make full tensors receivable as ``version``, then tell the replicas. It blocks.

        Args:
            deadline: seconds for the push (the replicas' own limit for one update); making them receivable
                has as many again.

        Raises:
            ValueError: ``version`` is not above every earlier one.
            RuntimeError: no replica could ever receive the weights.
        """

    async def receive(self, min_version: int, timeout: float) -> Weights:
        """The newest weights, of ``min_version`` or above.

        Raises:
            TimeoutError: nothing that new was published within ``timeout`` seconds, or it did not arrive.
        """


@dataclass(frozen=True, slots=True)
class Sync:
    """What the trainer learns of a publish."""

    metrics: dict[str, int]
    """How many replicas took them, and how many did not; empty where nobody wants them."""
    failures: tuple[str, ...] = ()
    """A line for each that did not."""


class WeightPublisher(Protocol):
    """What the trainer does with new weights. All ranks call it, rank 0 ``publish`` and the others ``take_part``."""

    def publish(self, version: int, named_tensors: NamedTensors, deadline: float) -> Sync: ...

    def take_part(self, named_tensors: NamedTensors) -> None:
        """Gather with rank 0, where it gathers."""


@dataclass(frozen=True, slots=True)
class ReplicaPublisher:
    """To the replicas of a deployment, by a transport."""

    transport: WeightTransport
    replicas: Replicas

    def publish(self, version: int, named_tensors: NamedTensors, deadline: float) -> Sync:
        report = self.transport.publish(self.replicas, version, named_tensors, deadline)
        counts = {"sync/replicas": len(report.landed), "sync/failures": len(report.failures)}
        return Sync(counts, report.failures)

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
