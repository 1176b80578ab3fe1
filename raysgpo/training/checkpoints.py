"""The checkpoints of a run, written by all ranks together while they train, each its own shards.

    main thread    save(k): records on disk | the next step ... | before the weights change: copied?
    side thread                               copy | write, hash | rank 0: manifest, rename | export
    upload thread                                                        where the run is in an object store: sent

The side threads of the ranks talk in a process group of their own (gloo), so none of their waits is one of training's.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch.distributed as dist
from tenacity import Retrying

from raysgpo.output import checkpoint
from raysgpo.output.metrics import Metrics
from raysgpo.output.room import waiting_for_room
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import WriteFailed
from raysgpo.planning.memory_plan import MASTER, MOMENTS
from raysgpo.policy import export
from raysgpo.policy.policy import Policy
from raysgpo.policy.snapshot import MODEL, Snapshot, Stager
from raysgpo.remote import result
from raysgpo.stores.checkpoint_upload import CheckpointUpload, Commit
from raysgpo.stores.object_store import StoreFailed, patiently
from raysgpo.stores.stored_checkpoints import StoredCheckpoints
from raysgpo.training.job import TrainJob

SLOWEST_DISK = 20 * 2**20
"""Bytes a second of the whole run: no rank waits longer for the others than it takes to write or read all at that."""
LAST_UPLOAD = 900.0
"""Seconds that the end of the training waits for what is on its way to the object store."""
STORE_PATIENCE = 60.0
"""Seconds for asking the store what it has."""
AGAIN = "again"
"""Rank 0's word that all try once more; else its failure, or None."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


@dataclass(frozen=True, slots=True)
class _Unsent:
    step: int
    names: list[str]
    """Of this rank's files."""
    commit: Commit | None
    exported: bool
    """Whether a Hugging Face folder goes with it."""


class Checkpoints:
    """Every rank has one, and calls the same methods in the same order."""

    def __init__(self, job: TrainJob, policy: Policy) -> None:
        """Collective."""
        self._job, self._policy = job, policy
        self._rank = dist.get_rank()
        parameters = sum(parameter.numel() for parameter in policy.scorer.parameters())
        seconds = job.config.trainer.collective_timeout + (MASTER + MOMENTS) * parameters / SLOWEST_DISK
        self._group = dist.new_group(backend="gloo", timeout=timedelta(seconds=seconds))
        self._stager = Stager()
        self._writing: Future[Metrics] | None = None
        self._written: Metrics = {}
        """Of the last one that was finished, until it is asked for."""
        self._upload: CheckpointUpload | None = None
        self._folder_of = [0] * dist.get_world_size()
        """Of each rank, the first rank that has its folder."""
        if job.run.store is not None:
            self._upload = CheckpointUpload(job.run, self._rank, job.conductor.say.remote)
            hosts = self._all(node_of_this_process)
            self._folder_of = [hosts.index(host) for host in hosts]
        self._restored: int | None = None
        """The step after which the store has to forget what it has, before anything is sent."""
        self._unsent: _Unsent | None = None
        """The last checkpoint here, if it was not handed over to be sent."""

    def restore(self) -> int:
        """Load the newest complete checkpoint, if there is one; the number of steps it has. Rank 0 says which.

        Raises:
            ValueError: it is of another model.
        """
        folder, messages = self._found() if self._upload else self._on_first(lambda: _newest(self._job.run.checkpoints))
        self._restored = 0 if folder is None else checkpoint.step_of(folder.name)
        if folder is None:
            return 0
        if self._rank == 0:
            for message in messages:
                self._job.conductor.say.remote(message)
        self._policy.load(folder)
        return int(checkpoint.read_state(folder)["step"])

    def save(self, step: int, exported: bool) -> None:
        """Begin to write the checkpoint of ``step``, after the one before it; with ``exported``, also a Hugging Face
        folder of it. Training goes on meanwhile.

        Raises:
            WriteFailed: there was no room for the one before it, however long was waited.
        """
        self._settle()
        # With the records on disk: as much to write as there was since the last checkpoint.
        state = result(self._job.conductor.checkpoint_state.remote(step), None) if self._rank == 0 else {}
        snapshot = self._policy.snapshot()
        self._writing = _beside(lambda: self._write(step, snapshot, state, exported))

    def finish(self) -> None:
        """Return once nothing is being written, and what was is in the object store, if one is kept, or was given up.

        Raises:
            WriteFailed: as ``save``.
        """
        self._settle()
        if self._upload is None:
            return
        arrived = self._upload.wait(LAST_UPLOAD)
        if self._unsent is not None:  # it was written while another was being sent
            self._hand_over()
            arrived = self._upload.wait(LAST_UPLOAD)
        if not arrived and self._rank == 0:
            self._job.conductor.say.remote(
                f"warning: {self._job.run.store} has not all that was finished after {LAST_UPLOAD:.0f} s; it is "
                f"in {self._job.run.path}, and sent when the run is gone on with from there"
            )

    def _settle(self) -> None:
        if self._writing is not None:
            self._written, self._writing = self._writing.result(), None

    def written(self) -> Metrics:
        """Of a checkpoint that was finished since it was asked for last, each of them once.

        Raises:
            WriteFailed: as ``save``.
        """
        sent: Metrics = {} if self._upload is None else {**self._upload.taken()}
        if not self._written and self._writing is not None and self._writing.done():
            self._settle()
        metrics, self._written = self._written, {}
        return {**metrics, **sent}

    # --- the side thread ---

    def _write(self, step: int, snapshot: Snapshot, state: dict[str, Any], exported: bool) -> Metrics:
        start, conductor = time.time(), self._job.conductor
        snapshot.stage(self._stager)
        _yield_to_training()
        self._patiently(lambda: self._save(step, snapshot, state, exported))
        seconds = time.time() - start
        if self._rank == 0 and not self._apart:
            result(conductor.checkpointed.remote(step))
        if self._upload is not None:
            self._hand_over()
        if exported and not self._apart:
            self._patiently(lambda: self._export(step))
            if self._upload is not None and self._rank == 0:
                self._upload.send_export(step)
        return {"checkpoint/seconds": seconds, "checkpoint/bytes": float(snapshot.bytes)}

    def _save(self, step: int, snapshot: Snapshot, state: dict[str, Any], exported: bool) -> None:
        """Collective; complete or absent, and the same error on all ranks."""
        folder, keep = self._job.run.checkpoints, self._job.config.checkpoint
        place = checkpoint.partial(folder, step)
        try:
            self._in_folders(lambda: checkpoint.begin(folder, step))
            self._on_first(lambda: snapshot.write_model_files(place))
            files = snapshot.write(place, self._group)
            if self._rank == 0:
                files += [file for file in (place / MODEL).rglob("*") if file.is_file()]
            parts = self._all(lambda: checkpoint.fingerprints(place, files))
            known = {name: entry for part in parts for name, entry in part.items()}
            state = self._on_first(lambda: state) if self._apart else state
            self._in_folders(lambda: self._job.run.remove_exports_from(step))  # of a way that was gone back on
            self._in_folders(
                lambda: checkpoint.commit(folder, step, state, keep.keep, keep.keep_best, known, self._apart)
            )
        except Exception:
            if self._has_folder:
                checkpoint.give_up(folder, step)
            raise
        if self._upload is not None:
            self._unsent = _Unsent(step, sorted(parts[self._rank]), self._commit_of(step, state), exported)

    def _export(self, step: int) -> None:
        """Collective; each rank makes some of the files."""
        run, dtype = self._job.run, self._job.config.checkpoint.export_dtype
        source, folder = checkpoint.folder_of(run.checkpoints, step), run.export(step)
        parts = dist.get_world_size(self._group)
        try:
            self._on_first(lambda: export.begin(source, folder, dtype))
            self._all(lambda: export.write_files(source, folder, dtype, self._rank, parts))
            self._on_first(lambda: export.finish(source, folder, dtype))
        except Exception:
            if self._rank == 0:
                export.give_up(folder)
            raise

    # --- the object store ---

    @property
    def _has_folder(self) -> bool:
        """Whether this rank is the first of those that share its folder."""
        return self._folder_of[self._rank] == self._rank

    @property
    def _apart(self) -> bool:
        """Whether ranks lie on several nodes, each with a folder of its own, so that only the store has all files."""
        return any(self._folder_of)

    def _found(self) -> tuple[Path | None, list[str]]:
        """Collective: as ``_newest``, here or in the store, and fetched to each folder that lacks it.

        Nothing newer than what the conductor knows to be trained: its records would not be there.
        """
        run, upload = self._job.run, self._upload
        assert upload is not None, "it is asked for with a store"

        def choose() -> tuple[int, bool, list[str]]:
            at_most = result(self._job.conductor.trained_steps.remote())
            return newest_step(run, at_most, here=not self._apart)

        step, stored, messages = self._on_first(choose)
        if step < 0:
            return None, messages
        if stored:
            self._in_folders(lambda: StoredCheckpoints(run).fetch(step))
        return checkpoint.folder_of(run.checkpoints, step), messages

    def _commit_of(self, step: int, state: dict[str, Any]) -> Commit | None:
        """Of rank 0."""
        if self._rank != 0:
            return None
        keep, place = self._job.config.checkpoint, checkpoint.folder_of(self._job.run.checkpoints, step)
        return Commit((place / checkpoint.MANIFEST).read_bytes(), state.get("sizes", {}), keep.keep, keep.keep_best)

    def _hand_over(self) -> None:
        """Collective: begin to send the newest checkpoint, unless some rank still sends the one before."""
        upload = self._upload
        assert upload is not None and self._unsent is not None, "it was saved, with a store"
        if not all(self._all(lambda: upload.idle)):
            return
        restored = self._restored
        if restored is not None:
            if self._on_first(lambda: _told(lambda: upload.begin(restored))):
                return
            self._restored = None
        unsent, self._unsent = self._unsent, None
        names = unsent.names if unsent.commit is None else [*unsent.names, checkpoint.STATE]

        def complete() -> None:
            """Of rank 0: where each node has a part only, the checkpoint is whole from here on."""
            if not self._apart:
                return
            result(self._job.conductor.checkpointed.remote(unsent.step))
            if unsent.exported:
                run, dtype = self._job.run, self._job.config.checkpoint.export_dtype
                export.export(StoredCheckpoints(run).fetch(unsent.step), run.export(unsent.step), dtype)
                upload.export(unsent.step)

        upload.send(unsent.step, names, unsent.commit, complete)

    # --- together ---

    def _patiently(self, write: Callable[[], None]) -> None:
        """Where there is no room for it, all ranks wait and try again, as long as rank 0 says.

        Raises:
            WriteFailed: however long was waited; the run ends.
        """
        if self._rank != 0:
            while (word := self._heard()) == AGAIN:
                with suppress(WriteFailed):
                    write()
            if isinstance(word, WriteFailed):
                raise word
            return

        def attempt() -> None:
            self._tell(AGAIN)
            write()

        conductor = self._job.conductor
        try:
            Retrying(**waiting_for_room(conductor.say.remote))(attempt)
        except WriteFailed as failure:
            self._tell(failure)
            result(conductor.unwritten.remote(failure))
            raise
        self._tell(None)

    def _tell(self, word: str | WriteFailed | None) -> None:
        dist.broadcast_object_list([word], src=0, group=self._group)

    def _heard(self) -> str | WriteFailed | None:
        heard: list[Any] = [None]
        dist.broadcast_object_list(heard, src=0, group=self._group)
        return heard[0]

    def _on_first(self, action: Callable[[], T]) -> T:
        """Of rank 0, while the others wait. Raises everywhere what it raises there."""
        found: T | None = self._all(lambda: action() if self._rank == 0 else None)[0]
        return found  # type: ignore[return-value]  # None is then the action's own answer

    def _in_folders(self, action: Callable[[], object]) -> None:
        """By one rank of each folder, while the others wait. Raises everywhere what it raises there."""
        self._all(lambda: None if not self._has_folder else action() and None)

    def _all(self, action: Callable[[], T]) -> list[T]:
        """Of each rank, in order. What one of them raises, all raise."""
        try:
            mine: T | _Failed = action()
        except Exception as error:
            mine = _Failed(error)
        found: list[Any] = [None] * dist.get_world_size(self._group)
        dist.all_gather_object(found, mine, group=self._group)
        for one in found:
            if isinstance(one, _Failed):
                raise one.error
        return found


def newest_step(run: RunFolder, at_most: int | None, here: bool) -> tuple[int, bool, list[str]]:
    """(step of the newest complete checkpoint, or -1; whether it has to be fetched from the store; what is wrong with
    newer ones). ``here``: whether a folder of this node has all files of a checkpoint.

    A store that cannot be asked is told, and what is here taken.
    """
    folder, messages = _newest(run.checkpoints, at_most) if here else (None, [])
    local = -1 if folder is None else checkpoint.step_of(folder.name)
    try:
        stored = next(
            iter(patiently(lambda: StoredCheckpoints(run).steps(at_most), STORE_PATIENCE, lambda _: None)), -1
        )
    except StoreFailed as error:
        if local < 0:
            raise
        stored, messages = -1, [*messages, f"warning: the checkpoints of the store cannot be looked at: {error}"]
    return (local, False, messages) if local >= stored else (stored, True, [])


def node_of_this_process() -> str:
    """The same for two processes just where they see the same disk of their node."""
    return f"{socket.gethostname()} {ray.get_runtime_context().get_node_id() if ray.is_initialized() else ''}"


def _told(action: Callable[[], None]) -> StoreFailed | None:
    """What it raised, if it did."""
    try:
        action()
    except StoreFailed as error:
        return error
    return None


def _newest(folder: Path, at_most: int | None = None) -> tuple[Path | None, list[str]]:
    try:
        return checkpoint.newest_complete(folder, at_most)
    except FileNotFoundError:
        return None, []


def _beside(work: Callable[[], Metrics]) -> Future[Metrics]:
    """In a thread that does not keep the process from ending."""
    future: Future[Metrics] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="checkpoint", daemon=True).start()
    return future


def _yield_to_training() -> None:
    """Whoever waits for the copy waits no longer, and the rest of this thread's computing has time."""
    with suppress(OSError):  # of this thread alone, as Linux has it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
