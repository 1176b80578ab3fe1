"""A run's checkpoints in its object store: complete or absent, never half.

    checkpoints/step-000010/policy/...      each rank's own files, in any order
    checkpoints/step-000010/state.json
    checkpoints/step-000010/manifest.json   last, once all that it names is there, and the records of its steps

What has no manifest, or lacks a file of it, is no checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raysgpo.output import checkpoint
from raysgpo.output.checkpoint import ACCURACY, MANIFEST, STATE, Fingerprints
from raysgpo.output.run_folder import RunFolder
from raysgpo.stores.object_store import ObjectStore, StoreFailed
from raysgpo.stores.stored_records import StoredRecords

FOLDER = "checkpoints"
SHARD = "policy/__"
"""How the names of the large files begin."""


class StoredCheckpoints:
    """Every method may raise StoreFailed."""

    def __init__(self, run: RunFolder) -> None:
        assert run.store is not None, f"{run.path} is kept in no object store"
        self._store = ObjectStore(run.store)
        self._records = StoredRecords(run)
        self._run = run

    def steps(self, at_most: int | None = None) -> list[int]:
        """Of complete ones, newest first."""
        there = self._there()
        newest_first = sorted(_steps(there), reverse=True)
        return [s for s in newest_first if (at_most is None or s <= at_most) and not self._lacks(s, there)]

    def put(self, step: int, place: Path, names: Iterable[str]) -> None:
        """Some files of a checkpoint that lies in the folder ``place``, the manifest not among them."""
        self._store.upload((place / name, _name(step, name)) for name in names)

    def lacks(self, step: int, manifest: bytes, sizes: Mapping[str, int]) -> str | None:
        """What is not there yet of a checkpoint and the records as far as ``sizes``; None if nothing."""
        missing = _missing(step, _files(manifest), self._there())
        return missing if missing or self._records.has(sizes) else "records"

    def commit(self, step: int, manifest: bytes) -> None:
        """It is complete from now on."""
        self._store.write(_name(step, MANIFEST), manifest)

    def forget(self, step: int, keep: int, keep_best: bool) -> None:
        """As on disk, what is surplus once ``step`` is there goes, and what half a checkpoint left before it."""
        there, complete = self._there(), self.steps(step)
        kept = complete[:keep]
        if keep_best and (rated := [(a, s) for s in complete if (a := self._accuracy(s)) is not None]):
            kept.append(max(rated)[1])
        self._remove([s for s in {_step(name) for name in there} if s not in kept and s <= step])

    def go_back(self, step: int) -> None:
        """Nothing of later steps stays: the run begins anew after ``step``."""
        self._remove([s for s in {_step(name) for name in self._there()} if s > step])

    def fetch(self, step: int, shards: bool = True) -> Path:
        """The checkpoint in the run's folder, its manifest last; what is there already is not fetched again.

        Without ``shards`` all but the large files, so that it is known, and not to be gone on from.
        """
        place = checkpoint.folder_of(self._run.checkpoints, step)
        manifest = self._store.read(_name(step, MANIFEST))
        if manifest is None:
            raise StoreFailed(self._store.at(_name(step, MANIFEST)), "there is no such checkpoint", False)
        files = _files(manifest)
        if place.is_dir() and not _same(place, manifest):
            checkpoint.remove(place)
        wanted = [
            name
            for name, known in files.items()
            if (shards or not name.startswith(SHARD)) and not _is_there(place / name, known["size"])
        ]
        self._store.download((_name(step, name), place / name) for name in wanted)
        self._store.download([(_name(step, MANIFEST), place / MANIFEST)])
        return place

    def state(self, step: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._store.read(_name(step, STATE)) or b"{}")
        return found

    def _accuracy(self, step: int) -> float | None:
        value = self.state(step).get(ACCURACY)
        return float(value) if isinstance(value, int | float) else None

    def _remove(self, steps: Iterable[int]) -> None:
        """The manifests first, so that none is there of what is half removed."""
        for step in steps:
            names = self._store.names(f"{FOLDER}/{checkpoint.name_of(step)}")
            manifest = _name(step, MANIFEST)
            self._store.remove([manifest, *(name for name in names if name != manifest)])

    def _there(self) -> dict[str, int]:
        """Size of each file of each checkpoint, complete or not."""
        names = self._store.names(FOLDER)
        return {name: size for name, size in names.items() if _step(name) >= 0}

    def _lacks(self, step: int, there: Mapping[str, int]) -> str | None:
        return _missing(step, _files(self._store.read(_name(step, MANIFEST)) or b""), there)


def _files(manifest: bytes) -> Fingerprints:
    """Nothing where it cannot be read."""
    try:
        found: Fingerprints = json.loads(manifest)["files"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found


def _missing(step: int, files: Fingerprints, there: Mapping[str, int]) -> str | None:
    """The first file that is not there in its size; the manifest, if it names none."""
    if not files:
        return MANIFEST
    return next((name for name, known in files.items() if there.get(_name(step, name)) != known["size"]), None)


def _same(place: Path, manifest: bytes) -> bool:
    """Whether the folder is of the same checkpoint, as far as it is there."""
    try:
        return (place / MANIFEST).read_bytes() == manifest
    except OSError:
        return False


def _is_there(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _steps(there: Iterable[str]) -> set[int]:
    return {_step(name) for name in there if name.endswith(f"/{MANIFEST}")}


def _step(name: str) -> int:
    """-1 for what is no checkpoint's."""
    return checkpoint.step_of(name.split("/")[1])


def _name(step: int, name: str) -> str:
    return f"{FOLDER}/{checkpoint.name_of(step)}/{name}"
