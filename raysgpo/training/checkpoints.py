"""The checkpoints of a run, written by all ranks together while they train, each its own shards.

    main thread    save(k): records on disk | the next step ... | before the weights change: copied?
    side thread                               copy | write, hash | rank 0: manifest, rename | export

The side threads of the ranks talk in a process group of their own (gloo), so none of their waits is one of training's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist
from tenacity import Retrying

from raysgpo.output import checkpoint
from raysgpo.output.metrics import Metrics
from raysgpo.output.room import waiting_for_room
from raysgpo.output.whole_file import WriteFailed
from raysgpo.planning.memory_plan import MASTER, MOMENTS
from raysgpo.policy import export
from raysgpo.policy.policy import Policy
from raysgpo.policy.snapshot import Snapshot, Stager
from raysgpo.remote import result
from raysgpo.training.job import TrainJob

SLOWEST_DISK = 20 * 2**20
"""Bytes a second of the whole run: no rank waits longer for the others than it takes to write or read all at that."""
AGAIN = "again"
"""Rank 0's word that all try once more; else its failure, or None."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


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

    def restore(self) -> int:
        """Load the newest complete checkpoint, if there is one; the number of steps it has. Rank 0 says which.

        Raises:
            ValueError: it is of another model.
        """
        folder, messages = self._on_first(lambda: _newest(self._job.run.checkpoints))
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
        self.finish()
        # With the records on disk: as much to write as there was since the last checkpoint.
        state = result(self._job.conductor.checkpoint_state.remote(step), None) if self._rank == 0 else {}
        snapshot = self._policy.snapshot()
        self._writing = _beside(lambda: self._write(step, snapshot, state, exported))

    def finish(self) -> None:
        """Return once nothing is being written.

        Raises:
            WriteFailed: as ``save``.
        """
        if self._writing is not None:
            self._writing.result()

    def written(self) -> Metrics:
        """Of a checkpoint that was finished since it was asked for last.

        Raises:
            WriteFailed: as ``save``.
        """
        if self._writing is None or not self._writing.done():
            return {}
        metrics, self._writing = self._writing.result(), None
        return metrics

    # --- the side thread ---

    def _write(self, step: int, snapshot: Snapshot, state: dict[str, Any], exported: bool) -> Metrics:
        start, conductor = time.time(), self._job.conductor
        snapshot.stage(self._stager)
        _yield_to_training()
        self._patiently(lambda: self._save(step, snapshot, state))
        seconds = time.time() - start
        if self._rank == 0:
            result(conductor.checkpointed.remote(step))
        if exported:
            self._patiently(lambda: self._export(step))
        return {"checkpoint/seconds": seconds, "checkpoint/bytes": float(snapshot.bytes)}

    def _save(self, step: int, snapshot: Snapshot, state: dict[str, Any]) -> None:
        """Collective; complete or absent, and the same error on all ranks."""
        folder, keep = self._job.run.checkpoints, self._job.config.checkpoint
        place = checkpoint.partial(folder, step)
        try:
            self._on_first(lambda: snapshot.write_model_files(checkpoint.begin(folder, step)))
            files = snapshot.write(place, self._group)
            parts = self._all(lambda: checkpoint.fingerprints(place, files))
            known = {name: entry for part in parts for name, entry in part.items()}
            self._on_first(lambda: self._job.run.remove_exports_from(step))  # of a way that was gone back on
            self._on_first(lambda: checkpoint.commit(folder, step, state, keep.keep, keep.keep_best, known))
        except Exception:
            if self._rank == 0:
                checkpoint.give_up(folder, step)
            raise

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


def _newest(folder: Path) -> tuple[Path | None, list[str]]:
    try:
        return checkpoint.newest_complete(folder)
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
