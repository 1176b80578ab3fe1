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

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

if TYPE_CHECKING:  # the store passes payloads on and must not wait for torch
    import torch

NOTHING_PUBLISHED = -1
"""The version of a store, or of a replica, that holds no published weights."""


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """One tensor: ``PackedTensor("lm_head.weight", "bfloat16", (260, 128), "9f86...", bytes)``."""

    name: str
    dtype: str
    """torch's name of the type, without ``torch.``."""
    shape: tuple[int, ...]
    digest: str | None
    """Checksum of the bytes in row-major order (``digest``); None where nobody compares them."""
    raw: NDArray[np.uint8]
    """Shape (number of bytes,)."""


WeightPayload = tuple[PackedTensor, ...]


def as_bytes(tensor: torch.Tensor) -> NDArray[np.uint8]:
    """A tensor's bytes in row-major order, shape (number of bytes,); no copy for contiguous CPU tensors."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()


def digest(data: NDArray[np.uint8]) -> str:
    """BLAKE3 (hex): as sure as SHA-256, and four times as fast."""
    return blake3(data.data).hexdigest()


def tensor_checksum(tensor: torch.Tensor) -> str:
    """Of a tensor's bytes in row-major order: equal if and only if the bits are."""
    return digest(as_bytes(tensor))


def named_checksums(named_tensors: Iterable[tuple[str, torch.Tensor]]) -> dict[str, str]:
    """Parameter name to checksum; compare with what ``RolloutReplica.state(checksums=True)`` says."""
    return {name: tensor_checksum(tensor) for name, tensor in named_tensors}


def pack(named_tensors: Iterable[tuple[str, torch.Tensor]], checksums: bool = True) -> WeightPayload:
    """Named tensors to a payload. Full tensors only: gather sharded ones (``full_tensor()``) before.

    The payload shares the memory of contiguous CPU tensors, so publish it before the next optimizer step.

    Raises:
        ValueError: no tensor, two of one name, or one without elements.
    """
    payload = tuple(_packed(name, tensor, checksums) for name, tensor in named_tensors)
    names = {entry.name for entry in payload}
    if not payload or len(names) < len(payload):
        raise ValueError(
            f"named_tensors holds {len(payload)} tensors under {len(names)} names: "
            "give every parameter of the policy once"
        )
    if empty := [entry.name for entry in payload if not entry.raw.size]:
        raise ValueError(f"named_tensors holds tensors without elements, {empty}: leave them out")
    return payload


def _packed(name: str, tensor: torch.Tensor, checksum: bool) -> PackedTensor:
    data = as_bytes(tensor)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return PackedTensor(name, dtype, tuple(tensor.shape), digest(data) if checksum else None, data)


def payload_bytes(payload: WeightPayload) -> int:
    """Size in bytes, without metadata."""
    return sum(entry.raw.nbytes for entry in payload)
