"""Checkpoint folders that are complete or absent, never half. No torch: read before heavy imports.

    checkpoints/
      step-000010/        complete: its manifest was written last, then the folder was renamed
        manifest.json     size and SHA-256 of every other file
        state.json        step, position, controllers, RNG (JSON values)
        ...               whatever ``save`` wrote
      .step-000015.partial/   being written, or left by a crash; never read
      .step-000010.old/       moved aside for a newer one of its step; read where that never came

One process at a time writes, by :func:`write`, and it alone repairs what a crash left half renamed. Any number may
read meanwhile what was there before: reading changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raysgpo.output.whole_file import sync, writing

MANIFEST = "manifest.json"
STATE = "state.json"
_NAME = re.compile(r"step-(\d{6,})|\.step-(\d{6,})\.old")


def write(folder: Path, step: int, save: Callable[[Path], None], state: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint of ``step`` and return its folder; the last ``keep`` ones stay.

    ``save`` gets an empty folder to write into. ``state`` must be JSON values. If anything raises,
    the checkpoints are what they were before.

    Raises:
        WriteFailed: there is no room for it; what there was room for is gone again.
    """
    place = partial(folder, step)
    try:
        with writing(folder_of(folder, step), 0):
            save(begin(folder, step))
            return commit(folder, step, state, keep)
    except Exception:
        shutil.rmtree(place, ignore_errors=True)
        raise


def folder_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` is, if it is there."""
    return folder / _name(step)


def partial(folder: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` is put together."""
    return folder / f".{_name(step)}.partial"


def begin(folder: Path, step: int) -> Path:
    """An empty folder to write into, free of what a crash left there."""
    folder.mkdir(parents=True, exist_ok=True)
    _finish_replacing(folder)
    for leftover in folder.glob(".step-*.partial"):
        shutil.rmtree(leftover)
    place = partial(folder, step)
    place.mkdir()
    return place


def commit(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Seal what was written since ``begin``: state, manifest, disk, rename; then remove the surplus.

    A checkpoint of the same step is replaced. Later ones are removed: this run went back behind
    them and is writing its own.
    """
    assert keep >= 1, f"at least one checkpoint must stay, got keep={keep}"
    place, final, old = partial(folder, step), folder / _name(step), folder / f".{_name(step)}.old"
    (place / STATE).write_text(json.dumps(state, indent=1))
    files = {_relative(place, file): _fingerprint(file) for file in _files(place)}
    (place / MANIFEST).write_text(json.dumps({"step": step, "files": files}, indent=1))
    _to_disk(place)
    if final.exists():
        os.replace(final, old)
    os.replace(place, final)
    sync(folder)
    _finish_replacing(folder)
    kept = [found for found in steps(folder) if found <= step][:keep]
    for found in steps(folder):
        if found not in kept:
            shutil.rmtree(folder / _name(found))
    return final


def newest_complete(folder: Path) -> tuple[Path, list[str]]:
    """The newest checkpoint whose every file is what its manifest says.

    The second value tells, one line each, which newer ones were passed over and why. Raises
    FileNotFoundError if there is none to use.
    """
    messages: list[str] = []
    for step, place in _places(folder):
        fault = _fault(place)
        if fault is None:
            return place, messages
        messages.append(f"checkpoint {_name(step)} is corrupt and was passed over: {fault}")
    found = "; ".join(messages) if messages else "it holds none at all"
    raise FileNotFoundError(f"no complete checkpoint in {folder}: {found}")


def steps(folder: Path) -> list[int]:
    """Steps of the folder's checkpoints, complete or not, newest first."""
    return [step for step, _ in _places(folder)]


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The ``state`` that was given when this checkpoint was written."""
    state: dict[str, Any] = json.loads((checkpoint / STATE).read_text())
    return state


def _places(folder: Path) -> list[tuple[int, Path]]:
    """Each step with its folder, newest first: the one moved aside where a crash kept the newer one from coming."""
    if not folder.is_dir():
        return []
    found: dict[int, Path] = {}
    for entry in sorted(folder.iterdir()):  # those moved aside come first, so the others win
        if (match := _NAME.fullmatch(entry.name)) is not None and entry.is_dir():
            found[int(match[1] or match[2])] = entry
    return sorted(found.items(), reverse=True)


def _finish_replacing(folder: Path) -> None:
    """What was moved aside for a newer one of its step goes, or comes back if that never came."""
    for old in folder.glob(".step-*.old"):
        final = folder / old.name.removeprefix(".").removesuffix(".old")
        if final.exists():
            shutil.rmtree(old)
        else:
            os.replace(old, final)


def _name(step: int) -> str:
    return f"step-{step:06d}"


def _files(place: Path) -> list[Path]:
    return sorted(file for file in place.rglob("*") if file.is_file())


def _relative(place: Path, file: Path) -> str:
    return file.relative_to(place).as_posix()


def _fingerprint(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"size": file.stat().st_size, "sha256": digest}


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None. Sizes are compared before anything is hashed."""
    try:
        files: dict[str, dict[str, Any]] = json.loads((checkpoint / MANIFEST).read_text())["files"]
    except FileNotFoundError:
        return f"it has no {MANIFEST}"
    except (ValueError, KeyError, TypeError, OSError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    present = {_relative(checkpoint, file) for file in _files(checkpoint)}
    for name, expected in files.items():
        if name not in present:
            return f"{name} is missing"
        size = (checkpoint / name).stat().st_size
        if size != expected["size"]:
            return f"{name} has {size} bytes instead of {expected['size']}"
    for name, expected in files.items():
        if _fingerprint(checkpoint / name) != expected:
            return f"{name} has changed (SHA-256)"
    return None


def _to_disk(place: Path) -> None:
    for entry in place.rglob("*"):
        sync(entry)
    sync(place)
