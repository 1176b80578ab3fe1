"""Weights written for a store, by a test in the place of the trainer."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from raysgpo.weights.checksums import tensor_checksum
from raysgpo.weights.group import Parcel
from raysgpo.weights.memory_file import MemoryFile, spec_of
from raysgpo.weights.store import Manifest, this_node

Named = Iterable[tuple[str, torch.Tensor]]


def written(named: Named, checksums: bool = True) -> tuple[MemoryFile, Manifest]:
    """The file, which must stay open until the store has published it, and what the store is told of it."""
    file = MemoryFile()
    specs = tuple(spec for spec, _ in file.write_weights(named, checksums))
    return file, Manifest(this_node(), file.path, file.inode, specs)


def parcels(named: Named, checksums: bool = True) -> list[Parcel]:
    """To be sent in a group."""
    return [
        Parcel(spec_of(name, tensor, 0, tensor_checksum(tensor) if checksums else None), tensor)
        for name, tensor in named
    ]
