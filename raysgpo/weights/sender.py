"""Rank 0 of the trainer brings new weights to the replicas.

    gather --> memory of this node --> the store: whoever asks can pull
           `--> the group, chunk by chunk, from a thread of its own

The gathering goes on whatever becomes of the sending: the other ranks of the trainer gather with this one, and would
wait for it for ever.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import ray
from numpy.typing import NDArray

from raysgpo.remote import Pending, R, result
from raysgpo.weights.delta import changes
from raysgpo.weights.epochs import Entered, Epochs
from raysgpo.weights.group import Backend, Chunk, Parcel, WeightGroup, packed, patience
from raysgpo.weights.memory_file import MemoryFile, TensorSpec
from raysgpo.weights.push import Push, call_roll
from raysgpo.weights.store import Manifest, StoreHandle, this_node
from raysgpo.weights.transport import NamedTensors, PushReport, Replicas, in_a_line

SEND_CHUNK = 256 * 2**20
"""Bytes of one broadcast; a larger tensor is one by itself. Two are in memory at once."""


class Sender:
    """Writes each version into memory of this node and tells the replicas. A :class:`WeightSender`."""

    def __init__(
        self, store: StoreHandle, replicas: Replicas, checksums: bool, group: Backend | None, delta: bool = False
    ) -> None:
        self._store = store
        self._replicas = replicas
        self._checksums = checksums
        self._epochs = Epochs(replicas, group, this_host()) if group is not None else None
        self._file: MemoryFile | None = None
        self._delta = delta
        self._sent: dict[str, TensorSpec] | None = None
        """Of the version before, where the whole group has it and it still lies in the file."""
        self._sent_to = ""
        """The epoch of that group."""
        self._known: list[str] = []
        """Replicas that landed last."""

    def publish(self, version: int, named_tensors: NamedTensors, deadline: float) -> PushReport:
        """A dead or hung replica costs the others no more than ``ROLL_CALL``, the patience for a chunk and, while
        they land themselves, nothing."""
        started = time.monotonic()
        roll = call_roll(self._replicas)
        entered, problems = self._epochs.entered(roll, deadline) if self._epochs is not None else (None, [])
        met = time.monotonic()
        if entered is None or entered.epoch.name != self._sent_to:
            self._sent = None
        push = Push(self._replicas, version, deadline, roll)
        file = self._blank(version, deadline)
        if entered is not None:
            push.start(entered.epoch.name)  # they stop and wait for the first chunk
        with self._sending(entered) as sending:
            tensors = self._write(file, named_tensors, sending)
        sound = entered is not None and sending.failure is None
        self._sent = {spec.name: spec for spec in tensors} if self._delta and sound else None
        self._sent_to = entered.epoch.name if entered is not None else ""
        manifest = Manifest(this_node(), file.path, file.inode, tensors)
        _taken(self._store.publish.remote(version, manifest), version, deadline)
        published = time.monotonic()
        if entered is None:
            push.start()
        landed, failures = push.outcome(self._known)
        self._known = list(landed)
        if sending.failure is not None:
            problems.append(f"the broadcast of version {version} was given up, all pull: {sending.failure}")
        return PushReport(
            version=version,
            landed=landed,
            failures=failures,
            problems=tuple(problems),
            meeting_seconds=met - started,
            publish_seconds=published - met,
            push_seconds=time.monotonic() - published,
            num_bytes=manifest.num_bytes,
            sent_bytes=sending.total,
            epochs=self._epochs.count if self._epochs is not None else 0,
        )

    def _blank(self, version: int, deadline: float) -> MemoryFile:
        """Memory to write to: the last version's, which is warm and tells what changes, unless somebody may still be
        reading it."""
        free = _taken(self._store.begin.remote(version), version, deadline)
        if self._file is None or not free:
            if self._file is not None:
                self._file.close()
            self._file, self._sent = MemoryFile(), None
        return self._file

    def _write(self, file: MemoryFile, named_tensors: NamedTensors, sending: Sending) -> tuple[TensorSpec, ...]:
        specs = []
        sent = self._sent or {}
        changed: NDArray[np.uint8] | None = None

        def compare(spec: TensorSpec, data: NDArray[np.uint8]) -> None:
            nonlocal changed
            old = sent.get(spec.name)
            same = old is not None and (old.offset, old.shape, old.dtype) == (spec.offset, spec.shape, spec.dtype)
            width = spec.num_bytes // math.prod(spec.shape)
            changed = changes(file.read(spec.offset, spec.num_bytes), data, width) if same else None

        for spec, tensor in file.write_weights(named_tensors, self._checksums, compare if sent else None):
            specs.append(spec)
            sending.add(Parcel(spec, tensor, changed))
        return tuple(specs)

    @contextmanager
    def _sending(self, entered: Entered | None) -> Iterator[Sending]:
        """At the end of the block all was sent, or the group is given up."""
        sending = Sending(entered.group if entered is not None else None)
        try:
            yield sending
            sending.finish()
        except BaseException:
            sending.give_up("the trainer failed while it gathered")
            raise
        finally:
            if sending.failure is not None and self._epochs is not None:
                self._epochs.leave()


class Sending:
    """One version on its way into a group. After a failure it takes tensors as before, and does nothing with them."""

    def __init__(self, group: WeightGroup | None) -> None:
        """``group``: None: nothing is sent."""
        self.failure: str | None = None
        self._group = group
        self.total = 0
        """Bytes so far."""
        self._waiting: list[Parcel] = []
        self._bytes = 0
        self._chunks: queue.Queue[Chunk | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="broadcast", daemon=True)
        if group is not None:
            self._thread.start()

    def add(self, parcel: Parcel) -> None:
        if self._group is None or self.failure is not None:
            return
        if self._waiting and self._bytes + parcel.num_bytes > SEND_CHUNK:
            self._pass_on()
        self._waiting.append(parcel)
        self._bytes += parcel.num_bytes
        self.total += parcel.num_bytes

    def finish(self) -> None:
        """Return once everything was sent, or is given up."""
        if self._group is None:
            return
        if self._waiting:
            self._pass_on()
        self._offer(None)
        if self.failure is None:
            limit = 2 * patience(max(self._bytes, SEND_CHUNK)) + patience(0)  # the chunk under way, one more, the end
            self._thread.join(limit)
            if self._thread.is_alive():
                self.give_up(f"a chunk took longer than {limit:.0f} s")

    def give_up(self, why: str) -> None:
        if self.failure is None and self._group is not None:
            self.failure = why
            self._group.abort()

    def _pass_on(self) -> None:
        assert self._group is not None
        if self.failure is None:
            self._offer(packed(self._waiting, self._group.device))
        self._waiting, self._bytes = [], 0

    def _offer(self, chunk: Chunk | None) -> None:
        limit = patience(max(SEND_CHUNK, 0 if chunk is None else chunk.data.numel()))
        until = time.monotonic() + limit
        while self.failure is None:
            try:
                self._chunks.put(chunk, timeout=0.1)
                return
            except queue.Full:
                if time.monotonic() > until:
                    self.give_up(f"a chunk took longer than {limit:.0f} s")

    def _run(self) -> None:
        assert self._group is not None
        try:
            while (chunk := self._chunks.get()) is not None:
                self._group.send(chunk)
            self._group.send_end()
        except Exception as error:  # the boundary of the thread
            self.give_up(in_a_line(error))


def _taken(call: Pending[R], version: int, deadline: float) -> R:
    """The store's answer.

    Raises:
        RuntimeError: it is dead, or gave none within ``deadline`` seconds.
    """
    try:
        return result(call, deadline)
    except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
        raise RuntimeError(f"the weight store did not take version {version}: {error}") from error


def this_host() -> str:
    """This node's address within the cluster."""
    return str(ray.util.get_node_ip_address()) if ray.is_initialized() else "127.0.0.1"
