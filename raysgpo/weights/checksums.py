"""Checksums of weights: whether what an engine read is, bit for bit, what the trainer has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

if TYPE_CHECKING:  # a replica must not wait for torch
    import torch


class ChecksumMismatch(RuntimeError):
    """The bytes that arrived are not the bytes that were published."""


def as_bytes(tensor: torch.Tensor) -> NDArray[np.uint8]:
    """A tensor's bytes in row-major order, shape (number of bytes,); no copy for contiguous CPU tensors."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()


def digest(data: NDArray[np.uint8]) -> str:
    """BLAKE3 (hex): as sure as SHA-256, four times as fast, and on all cores where there is much of it."""
    return blake3(data.data, max_threads=blake3.AUTO).hexdigest()


def tensor_checksum(tensor: torch.Tensor) -> str:
    """Of a tensor's bytes in row-major order: equal if and only if the bits are."""
    return digest(as_bytes(tensor))


def named_checksums(named_tensors: Iterable[tuple[str, torch.Tensor]]) -> dict[str, str]:
    """Parameter name to checksum; compare with what ``RolloutReplica.state(checksums=True)`` says."""
    return {name: tensor_checksum(tensor) for name, tensor in named_tensors}


def check(name: str, tensor: torch.Tensor, wanted: str | None) -> None:
    """Raises ChecksumMismatch if a weight that arrived is not what was published; ``wanted``: None: nobody compares."""
    if wanted is not None and tensor_checksum(tensor) != wanted:
        raise ChecksumMismatch(f"weight {name!r} changed on its way to the engine (its checksum differs)")
