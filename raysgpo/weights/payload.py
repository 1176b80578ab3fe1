"""The weights of one version as they travel: raw bytes a tensor, with name, type, shape and checksum.

The bytes are numpy views of the trainer's CPU tensors, so that Ray writes them to its object store
in one copy and reads them back in none. uint8 is the carrier because numpy has no bfloat16.

From the replica to the processes of its engine they go through a shared memory file
(:class:`SharedFile`): those processes have no Ray, but they can map a file. That reaches the
processes of one machine. Weights that must go straight from GPU to GPU (NCCL, CUDA IPC) need no
payload at all; they enter at ``Engine.update`` and at the transfer engine registered in
``raysgpo.weights.transfer``, and nothing above those two knows how the bytes travel.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the store passes payloads on and must not wait for torch
    import torch

NOTHING_PUBLISHED = -1
"""The version of a store, or of a replica, that holds no published weights."""
ALIGNMENT = 64
"""Bytes; every tensor of a shared file starts at a multiple of it, which suits every dtype."""


class ChecksumMismatch(RuntimeError):
    """The bytes that arrived are not the bytes that were published."""


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """One tensor: ``PackedTensor("lm_head.weight", "bfloat16", (260, 128), "9f86...", bytes)``."""

    name: str
    dtype: str
    """torch's name of the type, without ``torch.``."""
    shape: tuple[int, ...]
    sha256: str
    """Hex digest of the bytes in row-major order."""
    raw: NDArray[np.uint8]
    """Shape (number of bytes,)."""


WeightPayload = tuple[PackedTensor, ...]


def as_bytes(tensor: torch.Tensor) -> NDArray[np.uint8]:
    """A tensor's bytes in row-major order, shape (number of bytes,); no copy for contiguous CPU tensors."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()


def tensor_checksum(tensor: torch.Tensor) -> str:
    """SHA-256 (hex) of a tensor's bytes in row-major order: equal if and only if the bits are."""
    return hashlib.sha256(as_bytes(tensor).data).hexdigest()


def named_checksums(named_tensors: Iterable[tuple[str, torch.Tensor]]) -> dict[str, str]:
    """Parameter name to checksum; compare with what ``RolloutReplica.state(checksums=True)`` says."""
    return {name: tensor_checksum(tensor) for name, tensor in named_tensors}


def pack(named_tensors: Iterable[tuple[str, torch.Tensor]]) -> WeightPayload:
    """Named tensors to a payload. Full tensors only: gather sharded ones (``full_tensor()``) before.

    The payload shares the memory of contiguous CPU tensors, so publish it before the next optimizer step.

    Raises:
        ValueError: no tensor, two of one name, or one without elements.
    """
    payload = tuple(_packed(name, tensor) for name, tensor in named_tensors)
    names = {entry.name for entry in payload}
    if not payload or len(names) < len(payload):
        raise ValueError(
            f"named_tensors holds {len(payload)} tensors under {len(names)} names: "
            "give every parameter of the policy once"
        )
    if empty := [entry.name for entry in payload if not entry.raw.size]:
        raise ValueError(f"named_tensors holds tensors without elements, {empty}: leave them out")
    return payload


def _packed(name: str, tensor: torch.Tensor) -> PackedTensor:
    data = as_bytes(tensor)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return PackedTensor(name, dtype, tuple(tensor.shape), hashlib.sha256(data.data).hexdigest(), data)


def unpack(payload: WeightPayload) -> Iterator[tuple[str, torch.Tensor]]:
    """The named tensors of a payload, bit for bit, each in memory of its own."""
    import torch

    for entry in payload:
        flat = torch.from_numpy(entry.raw.copy()).view(getattr(torch, entry.dtype))
        yield entry.name, flat.reshape(entry.shape)


def payload_checksums(payload: WeightPayload) -> dict[str, str]:
    """Parameter name to checksum, as they were when the payload was packed."""
    return {entry.name: entry.sha256 for entry in payload}


def payload_bytes(payload: WeightPayload) -> int:
    """Size in bytes, without metadata."""
    return sum(entry.raw.nbytes for entry in payload)


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
        "sha256": entry.sha256,
        "offset": offset,
        "num_bytes": entry.raw.nbytes,
    }


def read_shared(path: str, tensors: list[dict[str, Any]]) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a :class:`SharedFile`, mapped and not copied, each checked against its checksum.

    Raises:
        ChecksumMismatch: some tensor's bytes are not the published ones.
    """
    import torch

    # Copy-on-write, since torch refuses to be quiet about memory that it must not write to.
    mapped = np.memmap(path, dtype=np.uint8, mode="c")
    named: list[tuple[str, torch.Tensor]] = []
    for entry in tensors:
        data = mapped[entry["offset"] : entry["offset"] + entry["num_bytes"]]
        if hashlib.sha256(data.data).hexdigest() != entry["sha256"]:
            raise ChecksumMismatch(f"weight {entry['name']!r} changed on its way to the engine (SHA-256 differs)")
        flat = torch.from_numpy(data).view(getattr(torch, entry["dtype"]))
        named.append((entry["name"], flat.reshape(entry["shape"])))
    return named
