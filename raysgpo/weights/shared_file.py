"""From a replica to the processes of its engine: a payload in a file of shared memory.

Those processes have no Ray, but they can map a file. That reaches the processes of one machine.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from raysgpo.weights.payload import PackedTensor, WeightPayload, digest

if TYPE_CHECKING:  # a replica must not wait for torch
    import torch

BACKEND = "raysgpo-shared-memory"
"""The name under which vLLM's ``WeightTransferConfig`` knows the receiving side (``weights.transfer``)."""
WORKER_EXTENSION = "raysgpo.weights.transfer.WorkerExtension"
"""What brings it into vLLM's workers."""
ALIGNMENT = 64
"""Bytes; every tensor of a shared file starts at a multiple of it, which suits every dtype."""


class ChecksumMismatch(RuntimeError):
    """The bytes that arrived are not the bytes that were published."""


class SharedFile:
    """A payload in a file of shared memory, for as long as the ``with`` block lasts.

    The file has no name in any folder: other processes of this user and machine open it through this
    process's entry in ``/proc``, and the kernel frees it when this process ends, however it ends.
    ``description`` is what a reader needs, in plain types that any transport can carry.
    """

    def __init__(self, payload: WeightPayload) -> None:
        self._file = os.fdopen(os.memfd_create("raysgpo-weights"), "wb")
        self.path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        self.tensors: list[dict[str, Any]] = []
        for entry in payload:
            self._file.write(bytes(-self._file.tell() % ALIGNMENT))
            self.tensors.append(_described(entry, self._file.tell()))
            self._file.write(entry.raw.data)
        self._file.flush()

    @property
    def description(self) -> dict[str, Any]:
        return {"path": self.path, "tensors": self.tensors}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _described(entry: PackedTensor, offset: int) -> dict[str, Any]:
    return {
        "name": entry.name,
        "dtype": entry.dtype,
        "shape": list(entry.shape),
        "digest": entry.digest,
        "offset": offset,
        "num_bytes": entry.raw.nbytes,
    }


def read_shared(path: str, tensors: list[dict[str, Any]]) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a :class:`SharedFile`, mapped and not copied, each checked against its checksum, if it has one.

    Raises:
        ChecksumMismatch: some tensor's bytes are not the published ones.
    """
    import torch

    # Copy-on-write, since torch refuses to be quiet about memory that it must not write to.
    mapped = np.memmap(path, dtype=np.uint8, mode="c")
    named: list[tuple[str, torch.Tensor]] = []
    for entry in tensors:
        data = mapped[entry["offset"] : entry["offset"] + entry["num_bytes"]]
        if entry["digest"] not in (None, digest(data)):
            raise ChecksumMismatch(f"weight {entry['name']!r} changed on its way to the engine (its checksum differs)")
        flat = torch.from_numpy(data).view(getattr(torch, entry["dtype"]))
        named.append((entry["name"], flat.reshape(entry["shape"])))
    return named
