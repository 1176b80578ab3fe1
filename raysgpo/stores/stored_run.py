"""A run in an object store, as the process that owns the run sees it.

PREFIX/runs/arithmetic-001/
  config.yaml  judge_spent.json  curves.png  ...  tensorboard/     whole files, at the start and at the end
  records/     the JSONL files, as far as the newest checkpoint and at the end (stored_records)
  checkpoints/ complete or absent (stored_checkpoints)
  exports/     Hugging Face folders (stored_model)
  claim.json   who works on it (claim)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from raysgpo.config.overrides import ConfigError
from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder, numbers_of
from raysgpo.stores.object_store import ObjectStore, StoreFailed, patiently
from raysgpo.stores.stored_checkpoints import StoredCheckpoints
from raysgpo.stores.stored_model import CONFIG, put_model
from raysgpo.stores.stored_records import StoredRecords

PATIENCE = 60.0
"""Seconds for what a run sends at its start and at its end."""
NOT_SENT = ("checkpoints", "exports", "issued", "train", "logs")
"""Folders with a way of their own, or of this machine alone."""

Say = Callable[[str], None]


def check_store(url: str, setting: str = "storage") -> None:
    """Make sure of the right to list, write, read and delete there, before anything expensive starts.

    Raises:
        ConfigError: one of them fails.
    """
    name, word = f".check-{uuid.uuid4().hex}", b"raysgpo"
    try:
        store = ObjectStore(url)
        store.write(name, word)
        if store.read(name) != word or name not in store.names():
            raise StoreFailed(url, "what is written there is not what is read back", False)
        store.remove([name])
    except StoreFailed as error:
        raise ConfigError(f"{setting}={url}: {error.why}") from None


def taken_number(url: str, name: str) -> int:
    """The highest number of the runs ``name-NNN``; 0 if there is none. May raise StoreFailed."""
    return max(numbers_of(name, ObjectStore(url).folders("runs")), default=0)


def stored_config(url: str, name: str) -> bytes | None:
    """The ``config.yaml`` of a run; None if there is no such run. May raise StoreFailed."""
    return ObjectStore(url).read(f"runs/{name}/config.yaml")


def run_names(url: str) -> list[str]:
    """May raise StoreFailed."""
    return ObjectStore(url).folders("runs")


class StoredRun:
    """Methods may raise StoreFailed where nothing else is said."""

    def __init__(self, run: RunFolder, say: Say) -> None:
        assert run.store is not None, f"{run.path} is kept in no object store"
        self._run, self._say = run, say
        self._store = ObjectStore(run.store)
        self._checkpoints = StoredCheckpoints(run)

    def replace_local(self) -> None:
        """The run's folder becomes what the store has, but for the large files of checkpoints; what was there is moved
        into the next free ``before-NNN``."""
        run = self._run
        aside = run.move_aside("before")
        if aside is not None:
            self._say(f"{run.store} has gone on from elsewhere: what was in {run.path} is now in {aside}")
        StoredRecords(run).fetch(run.path)
        plain = [name for name in self._store.names() if "/" not in name and not name.startswith((".", "claim."))]
        self._store.download((name, run.path / name) for name in plain)

    def newest_step(self) -> int | None:
        """Of the newest complete checkpoint, here or in the store, which then is in both, as far as it can be; without
        its large files here, where they are not. None if there is none.

        What is wrong with a newer one is said.
        """
        try:
            complete = self._checkpoints.steps()
        except StoreFailed as error:
            self._say(f"warning: the checkpoints of the store cannot be looked at, so those here are taken: {error}")
            complete = []
        here, stored = self._local(complete), next(iter(complete), -1)
        if here > stored:
            self._try_to_send(here)
        elif stored > here:
            self._checkpoints.fetch(stored, shards=False)
        newest = max(here, stored)
        return newest if newest >= 0 else None

    def _local(self, stored: list[int]) -> int:
        """The newest that is whole here; -1 if there is none. One that is not is said, unless the store has it."""
        try:
            place, messages = checkpoint.newest_complete(self._run.checkpoints)
        except FileNotFoundError:
            return -1
        for message in messages:
            if not any(checkpoint.name_of(step) in message for step in stored):
                self._say(message)
        return checkpoint.step_of(place.name)

    def _try_to_send(self, step: int) -> None:
        """Send a checkpoint that was finished here and never arrived; it is said if that is in vain."""
        try:
            self.send_checkpoint(step)
        except (StoreFailed, FileNotFoundError) as error:
            self._say(f"warning: checkpoint {checkpoint.name_of(step)} is here and could not be sent: {error}")

    def send_checkpoint(self, step: int) -> None:
        """All of one that is whole here, and the records up to it."""
        place = checkpoint.of_step(self._run.checkpoints, step)
        manifest = (place / checkpoint.MANIFEST).read_bytes()
        names = [name for name in checkpoint.names_in(place) if name != checkpoint.MANIFEST]
        StoredRecords(self._run).put(checkpoint.read_state(place).get("sizes", {}))
        self._checkpoints.put(step, place, names)
        self._checkpoints.commit(step, manifest)

    def policy(self, step: int) -> str | None:
        """The address of the exported policy of a step; None if it is not there."""
        folder = self._export(step)
        return self._store.at(folder) if self._store.read(f"{folder}/{CONFIG}") is not None else None

    def send_policy(self, step: int) -> str:
        """The address of the exported policy of a step that is here."""
        put_model(self._run.export(step), self._store, self._export(step))
        return self._store.at(self._export(step))

    def send_config(self) -> None:
        """The run is there, and can be gone on with, from now on."""
        self._store.upload([(self._run.config, self._run.config.name)])

    def send_rest(self) -> None:
        """The records to their ends, pictures, TensorBoard's files: what has no other way. It is said if it fails."""
        try:
            patiently(self._send_rest, PATIENCE, lambda _: None)
        except (StoreFailed, OSError) as error:
            self._say(f"warning: not all of {self._run.path} was sent: {error}")

    def _send_rest(self) -> None:
        run = self._run
        records = [file for file in run.records if file.is_file()]
        StoredRecords(run).put({file.name: file.stat().st_size for file in records})
        files = [
            file
            for file in run.path.rglob("*")
            if file.is_file() and not file.is_symlink() and file not in records and not _hidden(file, run.path)
        ]
        self._store.upload((file, file.relative_to(run.path).as_posix()) for file in files)

    def _export(self, step: int) -> str:
        return self._run.export(step).relative_to(self._run.path).as_posix()


def _hidden(file: Path, folder: Path) -> bool:
    first, *_ = parts = file.relative_to(folder).parts
    return (
        first in NOT_SENT or first.startswith(("before-", "records-before-")) or any(p.startswith(".") for p in parts)
    )
