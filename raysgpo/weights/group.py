"""A process group of the trainer's rank 0 and every rank of every engine, in which weights are broadcast.

It is apart from every default group: NCCL where both sides compute on GPUs, gloo elsewhere, by
the same calls. What travels is a chunk: a header that says which tensors it holds, and their bytes one behind another.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from raysgpo.weights.checksums import check
from raysgpo.weights.delta import apply
from raysgpo.weights.memory_file import TensorSpec, aligned

Backend = Literal["gloo", "nccl"]

CHUNK_PATIENCE = 10.0
"""Seconds that a chunk may take to reach all engines, and as many more as its bytes take at ``SLOWEST``."""
SLOWEST = 0.3e9
"""Bytes a second."""
LOOK = 0.5
"""Seconds between two looks whether a group that gives no sign was given up."""
LONGEST_NAP = 0.005
"""Seconds from one look at a broadcast under way to the next."""
WORD = 2.0
"""Seconds for rank 0's store to answer whether it was."""
_OVER = "over"


def patience(num_bytes: int) -> float:
    """Seconds for a chunk of so many bytes."""
    return CHUNK_PATIENCE + num_bytes / SLOWEST


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process stands in a group: what it takes to join."""

    backend: Backend
    host: str
    port: int
    rank: int
    world: int
    join_timeout: float
    """Seconds for all to come together."""
    timeout: float
    """Seconds from the begin of an update to its first chunk, and from one chunk to the next."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tensors one behind another in memory of the device that the group works on."""

    specs: tuple[TensorSpec, ...]
    data: torch.Tensor
    """uint8, shape (number of bytes,)."""

    def tensors(self, kept: dict[str, torch.Tensor] | None = None) -> list[tuple[str, torch.Tensor]]:
        """``kept``: those of the version before, which become those of this one; what has changed is applied to them.

        Raises ChecksumMismatch if they are not what was sent.
        """
        found = []
        for spec in self.specs:
            data = self.data[spec.offset : spec.offset + spec.num_bytes]
            if spec.changed:
                assert kept is not None, "changes come to those alone who keep the version before"
                apply(kept[spec.name], data)
                tensor = kept[spec.name]
            else:
                tensor = data.view(getattr(torch, spec.dtype)).reshape(spec.shape)
            if kept is not None:
                kept[spec.name] = tensor
            check(spec.name, tensor, spec.digest)
            found.append((spec.name, tensor))
        return found


@dataclass(frozen=True, slots=True)
class Parcel:
    """One tensor to be sent."""

    spec: TensorSpec
    """As it lies in memory of this node."""
    tensor: torch.Tensor
    changes: NDArray[np.uint8] | None = None
    """Sent in its place (``weights.delta``)."""

    @property
    def num_bytes(self) -> int:
        return self.spec.num_bytes if self.changes is None else self.changes.nbytes

    def at(self, offset: int) -> TensorSpec:
        return replace(self.spec, offset=offset, num_bytes=self.num_bytes, changed=self.changes is not None)

    def copy_to(self, data: torch.Tensor) -> None:
        """``data``: uint8, of ``num_bytes``."""
        if self.changes is not None:
            data.copy_(torch.from_numpy(self.changes))
        else:
            data.view(self.tensor.dtype).copy_(self.tensor.detach().reshape(-1))


def packed(parcels: Sequence[Parcel], device: torch.device) -> Chunk:
    """Copies of tensors, one behind another, as one chunk."""
    specs, end = [], 0
    for parcel in parcels:
        specs.append(parcel.at(aligned(end)))
        end = specs[-1].offset + parcel.num_bytes
    data = torch.empty(end, dtype=torch.uint8, device=device)
    for spec, parcel in zip(specs, parcels, strict=True):
        parcel.copy_to(data[spec.offset : spec.offset + spec.num_bytes])
    return Chunk(tuple(specs), data)


class Rendezvous:
    """Where the ranks of a group find one another; it lives with rank 0."""

    def __init__(self, host: str, timeout: float) -> None:
        span = timedelta(seconds=timeout)
        self._store = dist.TCPStore(host, 0, is_master=True, timeout=span, wait_for_workers=False)

    @property
    def port(self) -> int:
        return int(self._store.port)

    def enter(self, place: Place) -> WeightGroup:
        """As rank 0."""
        return WeightGroup(self._store, place)


def join(place: Place) -> WeightGroup:
    """As any other rank.

    Raises:
        RuntimeError: not all came together within ``place.join_timeout`` seconds (torch's DistError and its kin).
    """
    span = timedelta(seconds=place.join_timeout)
    store = dist.TCPStore(place.host, place.port, is_master=False, timeout=span, wait_for_workers=False)
    return WeightGroup(store, place)


class WeightGroup:
    """The group as one of its processes sees it. Rank 0 sends, all others receive."""

    def __init__(self, store: dist.TCPStore, place: Place) -> None:
        self._store = store  # must live as long as the group
        self._timeout = place.timeout
        self._device = torch.device("cuda" if place.backend == "nccl" else "cpu")
        span = timedelta(seconds=place.join_timeout)
        self._group: dist.ProcessGroup | None = _MADE[place.backend](store, place, span)
        self._world, self._rank = place.world, place.rank
        self._word: dist.Store | None = None
        """A connection to the store of its own, which waits behind nothing of gloo's, once it is needed."""
        self._broadcast(torch.zeros(1, dtype=torch.uint8, device=self._device), place.join_timeout)

    @property
    def device(self) -> torch.device:
        """Of what is sent and received."""
        return self._device

    def send(self, chunk: Chunk) -> None:
        """Return once it is on its way to all.

        Raises:
            RuntimeError: a receiver is gone, or took too long.
        """
        header = json.dumps([asdict(spec) for spec in chunk.specs]).encode()
        limit = patience(chunk.data.numel())
        self._broadcast(self._sizes(len(header), chunk.data.numel()), limit)
        self._broadcast(torch.from_numpy(np.frombuffer(header, np.uint8).copy()).to(self._device), limit)
        self._broadcast(chunk.data, limit)

    def send_end(self) -> None:
        """No further chunk comes."""
        self._broadcast(self._sizes(0, 0), patience(0))

    def chunks(self) -> Iterator[Chunk]:
        """What rank 0 sends, until its end.

        Raises:
            RuntimeError: rank 0 is gone, or nothing came in time.
        """
        while True:
            sizes = self._sizes(0, 0)
            self._broadcast(sizes, self._timeout)
            header_bytes, num_bytes = sizes.tolist()
            if header_bytes == 0:
                return
            header = torch.empty(header_bytes, dtype=torch.uint8, device=self._device)
            data = torch.empty(num_bytes, dtype=torch.uint8, device=self._device)
            self._broadcast(header, patience(num_bytes))
            self._broadcast(data, patience(num_bytes))
            entries = json.loads(header.cpu().numpy().tobytes())
            specs = tuple(TensorSpec(**{**entry, "shape": tuple(entry["shape"])}) for entry in entries)
            yield Chunk(specs, data)

    def abort(self) -> None:
        """End it, whatever it is in the middle of; the other ranks notice. It never blocks."""
        if self._group is None:
            return
        # Held here as well, the last reference could go here, and to let go of a group is to wait for its broadcasts.
        held, self._group = [self._group], None
        own = self._store if self._rank == 0 else None
        threading.Thread(target=_end, args=(held, own), name="end of a weight group", daemon=True).start()

    def _sizes(self, header: int, data: int) -> torch.Tensor:
        return torch.tensor([header, data], dtype=torch.int64, device=self._device)

    def _broadcast(self, tensor: torch.Tensor, seconds: float) -> None:
        if self._world == 1:
            return
        options = dist.BroadcastOptions()
        options.rootRank = 0
        options.timeout = timedelta(seconds=seconds)
        group, work = self._group, None
        if group is None:
            raise RuntimeError("this group of weights was given up")
        try:
            work = group.broadcast([tensor], options)
            self._await(work, seconds)
        finally:
            # An error's trace must not be the last to hold them: to let go of a broadcast is to wait for its end.
            del group, work

    def _await(self, work: dist.Work, seconds: float) -> None:
        started = looked = time.monotonic()
        try:
            while not work.is_completed():
                now = time.monotonic()
                if now - started > seconds:
                    raise RuntimeError(f"a broadcast of weights took longer than {seconds:.0f} s")
                if now - looked > LOOK:
                    looked = now
                    self._look()
                time.sleep(min(LONGEST_NAP, (now - started) / 10))
            work.wait()
        finally:
            del work

    def _look(self) -> None:
        """Raises RuntimeError if somebody gave the group up, or rank 0 is gone. A rank hears nothing of it from the
        connections that it has: the one above it in the tree may be the one that hangs."""
        if self._word is None:
            self._word = self._store.clone()
            self._word.set_timeout(timedelta(seconds=WORD))
        if self._word.check([_OVER]):
            raise RuntimeError("this group of weights was given up by another rank")


def _end(held: list[dist.ProcessGroup], store: dist.TCPStore | None) -> None:
    """The group's last reference, which is taken out of ``held``, goes here, and gloo's connections with it. ``store``:
    at rank 0, which has it, so that the others hear of it."""
    group = held.pop()
    if store is not None:
        store.set(_OVER, "")
    group.abort()


def _gloo(store: dist.TCPStore, place: Place, span: timedelta) -> dist.ProcessGroup:
    """A broadcast goes along a tree: only its edges need connections, and not every pair of hundreds."""
    with _environment("TORCH_GLOO_LAZY_INIT", "1"):
        return dist.ProcessGroupGloo(store, place.rank, place.world, span)


def _nccl(store: dist.TCPStore, place: Place, span: timedelta) -> dist.ProcessGroup:
    """NCCL's watchdog would end the process of a group that failed or timed out: a replica that is gone must not end
    the trainer."""
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = span
    with _environment("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0"):
        return dist.ProcessGroupNCCL(store, place.rank, place.world, options)


_MADE: dict[Backend, Callable[[dist.TCPStore, Place, timedelta], dist.ProcessGroup]] = {"gloo": _gloo, "nccl": _nccl}


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """What is read when a group is made, for that long."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
