"""Weights in a file of memory: how they get from one process of a machine to another without a copy.

    trainer, rank 0 --write--> memory <--map-- the processes of an engine

The file has no name in any folder and no bytes on a disk: other processes of this user and machine open it through its
owner's entry in ``/proc``, and the kernel frees it when the last who opened it has closed it, however it ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from raysgpo.weights.checksums import as_bytes, check, digest

if TYPE_CHECKING:  # a replica must not wait for torch
    import torch

ALIGNMENT = 64
"""Bytes; every tensor starts at a multiple of it, which suits every dtype."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: ``TensorSpec("lm_head.weight", "bfloat16", (260, 128), 0, 66560, "9f86...")``."""

    name: str
    dtype: str
    """torch's name of the type, without ``torch.``."""
    shape: tuple[int, ...]
    offset: int
    """Bytes from the start of the memory that it is in."""
    num_bytes: int
    digest: str | None
    """Checksum of the bytes in row-major order; None where nobody compares them."""
    changed: bool = False
    """Whether the bytes are what has changed since the version before (``weights.delta``) and not the whole tensor."""

    def at(self, offset: int) -> TensorSpec:
        """The same in other memory."""
        return replace(self, offset=offset)


def spec_of(name: str, tensor: torch.Tensor, offset: int, checksum: str | None = None) -> TensorSpec:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return TensorSpec(name, dtype, tuple(tensor.shape), offset, tensor.numel() * tensor.element_size(), checksum)


def aligned(offset: int) -> int:
    return offset + -offset % ALIGNMENT


class MemoryFile:
    """Memory that other processes of this machine can map."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.memfd_create("raysgpo-weights"), "r+b", buffering=0)
        self._staging: torch.Tensor | None = None

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self._file.fileno()}"

    @property
    def inode(self) -> int:
        return os.fstat(self._file.fileno()).st_ino

    def write(self, data: NDArray[np.uint8], offset: int) -> None:
        """Raises OSError where the machine has no memory for it."""
        view = data.data
        while view:
            written = os.pwrite(self._file.fileno(), view, offset)
            view, offset = view[written:], offset + written

    def read(self, offset: int, num_bytes: int) -> NDArray[np.uint8]:
        """A copy of what lies there."""
        return read_bytes(self._file.fileno(), offset, num_bytes)

    def write_weights(
        self,
        named_tensors: Iterable[tuple[str, torch.Tensor]],
        checksums: bool = True,
        before: Callable[[TensorSpec, NDArray[np.uint8]], None] | None = None,
    ) -> Iterator[tuple[TensorSpec, torch.Tensor]]:
        """Write full tensors one after another, from the start; each is given back with where it lies.

        ``before``: told of each, and of its bytes, before they are written.

        Raises:
            ValueError: no tensor, two of one name, or one without elements.
        """
        names: set[str] = set()
        count = end = 0
        for name, tensor in named_tensors:
            if not tensor.numel():
                raise ValueError(f"the weights hold a tensor without elements, {name}: leave it out")
            data = self._staged(tensor) if tensor.is_cuda else as_bytes(tensor)
            spec = spec_of(name, tensor, aligned(end), digest(data) if checksums else None)
            if before is not None:
                before(spec, data)
            self.write(data, spec.offset)
            end, count = spec.offset + spec.num_bytes, count + 1
            names.add(name)
            yield spec, tensor
        if not names or len(names) < count:
            raise ValueError(
                f"the weights hold {count} tensors under {len(names)} names: give every parameter of the policy once"
            )

    def _staged(self, tensor: torch.Tensor) -> NDArray[np.uint8]:
        """Of a GPU's tensor, through host memory that the GPU copies to by itself, kept from one to the next."""
        import torch

        size = tensor.numel() * tensor.element_size()
        if self._staging is None or self._staging.numel() < size:
            self._staging = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        part = self._staging[:size]
        part.copy_(tensor.detach().contiguous().reshape(-1).view(torch.uint8))
        return part.numpy()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_bytes(file: int, offset: int, num_bytes: int) -> NDArray[np.uint8]:
    """Of an open file, fewer where it ends before."""
    data = np.empty(num_bytes, dtype=np.uint8)
    got = 0
    while got < num_bytes and (more := os.preadv(file, [data[got:].data], offset + got)):
        got += more
    return data[:got]


def description(path: str, tensors: Iterable[TensorSpec]) -> dict[str, Any]:
    """What the processes of an engine need to read tensors of a file, in plain types that any call can carry."""
    return {"path": path, "tensors": [asdict(spec) for spec in tensors]}


def read_shared(path: str, tensors: list[dict[str, Any]]) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a ``description``, mapped and not copied, each checked against its checksum, if it has one.

    Raises:
        ChecksumMismatch: some tensor's bytes are not the published ones.
    """
    import torch

    # Copy-on-write, since torch refuses to be quiet about memory that it must not write to.
    memory = np.memmap(path, dtype=np.uint8, mode="c")
    named: list[tuple[str, torch.Tensor]] = []
    for spec in (TensorSpec(**entry) for entry in tensors):
        data = memory[spec.offset : spec.offset + spec.num_bytes]
        tensor = torch.from_numpy(data).view(getattr(torch, spec.dtype)).reshape(spec.shape)
        check(spec.name, tensor, spec.digest)
        named.append((spec.name, tensor))
    return named
