"""A rank's part of checkpoints and exports on their way to a run's object store, beside the training.

    this rank's files ---> the store        beside the other ranks', in no order
    rank 0 waits until all that the manifest names is there, and the records of its steps ---> the manifest

Training never waits for it but at its end. A try that fails is counted and made again; what is given up goes with the
next checkpoint.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from raysgpo.stores.object_store import ObjectStore, StoreFailed, patiently
from raysgpo.stores.stored_checkpoints import StoredCheckpoints
from raysgpo.stores.stored_model import put_model

PATIENCE = 600.0
"""Seconds from the first failed try to the last, and for other ranks and the records to arrive."""
LOOK_SECONDS = 1.0

Number = float


@dataclass(frozen=True, slots=True)
class Commit:
    """What rank 0 does once all files of a checkpoint are there."""

    manifest: bytes
    sizes: Mapping[str, int]
    """Bytes of the records as of its step."""
    keep: int
    keep_best: bool


class CheckpointUpload:
    """One rank's, and a thread of it, which does not keep the process from ending."""

    def __init__(self, run: RunFolder, rank: int, say: Callable[[str], object]) -> None:
        assert run.store is not None, f"{run.path} is kept in no object store"
        self._run, self._rank, self._say = run, rank, say
        self._store = ObjectStore(run.store)
        self._checkpoints = StoredCheckpoints(run)
        self._work: queue.Queue[Callable[[], None]] = queue.Queue()
        self._failures = 0
        self._done: dict[str, Number] = {}
        self.sending: int | None = None
        """The step of the checkpoint that is under way."""
        self.sent: int | None = None
        """Of the last one that is complete in the store; rank 0 knows."""
        shutil.rmtree(self._links, ignore_errors=True)
        threading.Thread(target=self._run_work, name="upload", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether no checkpoint is under way."""
        return self.sending is None

    def begin(self, step: int) -> None:
        """Rank 0, before any rank sends anything: nothing later than ``step`` is there.

        Raises:
            StoreFailed: it may be.
        """
        self._checkpoints.go_back(step)

    def send(self, step: int, names: Iterable[str], commit: Commit | None, then: Callable[[], None]) -> None:
        """Begin to send these files of a checkpoint that lies here whole, or this node's part of it; with ``commit``,
        the manifest once all ranks' are there, and ``then`` is called."""
        assert self.idle, "one at a time"
        place, links = checkpoint.folder_of(self._run.checkpoints, step), self._links / checkpoint.name_of(step)
        chosen = list(names)
        for name in chosen:  # what the next checkpoint removes is read to its end
            _link(place / name, links / name)
        self.sending = step
        self._work.put(lambda: self._checkpoint(step, links, chosen, commit, then))

    def send_export(self, step: int) -> None:
        """Begin to send the Hugging Face folder of a step."""
        self._work.put(lambda: self.export(step))

    def wait(self, seconds: float) -> bool:
        """Whether everything that was asked for has come to an end by then."""
        done = threading.Event()
        self._work.put(done.set)
        return done.wait(seconds)

    def taken(self) -> dict[str, Number]:
        """Metrics of what happened since they were asked for last."""
        found = {**self._done, "store/failures": float(self._failures)}
        if self.sent is not None:
            found["store/step"] = float(self.sent)
        self._done, self._failures = {}, 0
        return found

    # --- the thread ---

    def _run_work(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception as error:  # whatever it is, the training goes on
                self._say(f"warning: not sent to {self._run.store}: {type(error).__name__}: {error}")

    def _checkpoint(
        self, step: int, links: Path, names: list[str], commit: Commit | None, then: Callable[[], None]
    ) -> None:
        begun = time.monotonic()
        try:
            patiently(lambda: self._checkpoints.put(step, links, names), PATIENCE, self._count)
            if commit is not None:
                self._wait_for_all(step, commit)
                patiently(lambda: self._checkpoints.commit(step, commit.manifest), PATIENCE, self._count)
                self.sent = step
                size = sum((links / name).stat().st_size for name in names)
                self._done = {"store/seconds": time.monotonic() - begun, "store/bytes": float(size)}
                then()
                patiently(lambda: self._checkpoints.forget(step, commit.keep, commit.keep_best), PATIENCE, self._count)
        except StoreFailed as error:
            self._say(
                f"warning: checkpoint {checkpoint.name_of(step)} was not sent: {error}; the run goes on, and the next "
                "one is sent"
            )
        finally:
            shutil.rmtree(links, ignore_errors=True)
            self.sending = None

    def _wait_for_all(self, step: int, commit: Commit) -> None:
        """Raises StoreFailed if something does not arrive, or nobody can be asked."""
        end = time.monotonic() + PATIENCE
        while True:
            lacks = patiently(
                lambda: self._checkpoints.lacks(step, commit.manifest, commit.sizes), PATIENCE, self._count
            )
            if lacks is None:
                return
            if time.monotonic() > end:
                raise StoreFailed(str(self._run.store), f"{lacks} did not arrive within {PATIENCE:.0f} s", True)
            time.sleep(LOOK_SECONDS)

    def export(self, step: int) -> None:
        """Send it, in this thread."""
        folder = self._run.export(step)
        under = folder.relative_to(self._run.path).as_posix()
        try:
            patiently(lambda: put_model(folder, self._store, under), PATIENCE, self._count)
        except StoreFailed as error:
            self._say(f"warning: the policy of step {step} was not sent: {error}; it is in {folder}")

    def _count(self, failure: StoreFailed) -> None:
        self._failures += 1
        if self._failures == 1:
            self._say(f"warning: the object store: {failure}; it is tried again (store/failures counts)")

    @property
    def _links(self) -> Path:
        """Of this rank."""
        return self._run.path / f".sending-{self._rank}"


def _link(file: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, link)
    except OSError:  # a file system without
        shutil.copyfile(file, link)
