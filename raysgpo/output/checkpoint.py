"""Checkpoint folders that are complete or absent, never half. No torch: read before heavy imports.

    checkpoints/
      step-000010/        complete: its manifest was written last, then the folder was renamed
        manifest.json     size and SHA-256 of every other file
        state.json        step, position, controllers, RNG (JSON values), the held-out accuracy of its step
        ...               what the ranks of the trainer wrote
      .step-000015.partial/   being written, or left by a crash; never read
      .step-000010.old/       moved aside for a newer one of its step; read where that never came

Many processes may write into the partial folder; one alone begins, commits and gives up, and it repairs what a crash
left half renamed. Any number may read meanwhile what was there before: reading changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from raysgpo.output.whole_file import sync, writing

MANIFEST = "manifest.json"
STATE = "state.json"
ACCURACY = "accuracy"
"""In the state: held-out accuracy of the policy, None where it was not evaluated at that step."""
ONE_FILE = "optimizer.pt"
"""In checkpoints of versions that wrote weights and optimizer in one file each."""
_NAME = re.compile(r"step-(\d{6,})|\.step-(\d{6,})\.old")

Fingerprints = dict[str, dict[str, Any]]
"""Path within the checkpoint to {"size": bytes, "sha256": hex}."""


def folder_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` is, if it is there."""
    return folder / name_of(step)


def of_step(folder: Path, step: int) -> Path:
    """The checkpoint of ``step``, wherever a crash left it.

    Raises:
        ValueError: there is none; the message lists those that are there.
    """
    places = dict(_places(folder))
    if step not in places:
        there = ", ".join(map(str, sorted(places))) or "none"
        raise ValueError(f"no checkpoint of step {step}; there are: {there}")
    return places[step]


def partial(folder: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` is put together."""
    return folder / f".{name_of(step)}.partial"


def begin(folder: Path, step: int) -> Path:
    """An empty folder to write into, free of what a crash left there.

    Raises:
        WriteFailed: there is no room for it.
    """
    place = partial(folder, step)
    with writing(folder_of(folder, step), 0):
        folder.mkdir(parents=True, exist_ok=True)
        _finish_replacing(folder)
        for leftover in folder.glob(".step-*.partial"):
            shutil.rmtree(leftover)
        place.mkdir()
    return place


def give_up(folder: Path, step: int) -> None:
    """Free the room that was taken since ``begin``; the checkpoints are what they were before it."""
    shutil.rmtree(partial(folder, step), ignore_errors=True)


def names_in(place: Path) -> list[str]:
    """Of all files of a checkpoint."""
    return [_relative(place, file) for file in _files(place)]


def remove(place: Path) -> None:
    """A checkpoint's folder, which is none as soon as this begins."""
    (place / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)


def fingerprints(place: Path, files: Iterable[Path]) -> Fingerprints:
    """What a manifest says of files of ``place``."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        chosen = list(files)
        return dict(zip((_relative(place, file) for file in chosen), pool.map(_fingerprint, chosen), strict=True))


def commit(
    folder: Path,
    step: int,
    state: dict[str, Any],
    keep: int,
    keep_best: bool = False,
    known: Fingerprints | None = None,
    elsewhere: bool = False,
) -> Path:
    """Seal what was written since ``begin``: state, manifest, disk, rename; then remove the surplus.

    ``state`` must be JSON values. ``known``: of the files that another process has written and hashed, with
    ``elsewhere`` maybe on a disk that is not seen here, so that this is only a part of the checkpoint. The last
    ``keep`` stay, and with ``keep_best`` the one of the highest accuracy. A checkpoint of the same step is
    replaced. Later ones are removed: this run went back behind them and is writing its own.

    Raises:
        WriteFailed: there is no room for it.
        FileNotFoundError: a file of ``known`` is not there: the other process sees another disk.
    """
    assert keep >= 1, f"at least one checkpoint must stay, got keep={keep}"
    known = known or {}
    place, final, old = partial(folder, step), folder / name_of(step), folder / f".{name_of(step)}.old"
    if not elsewhere:
        _require(place, known)
    with writing(final, 0):
        (place / STATE).write_text(json.dumps(state, indent=1))
        rest = [file for file in _files(place) if _relative(place, file) not in known]
        files = dict(sorted((known | fingerprints(place, rest)).items()))
        (place / MANIFEST).write_text(json.dumps({"step": step, "files": files}, indent=1))
        _to_disk(place)
        if final.exists():
            os.replace(final, old)
        os.replace(place, final)
        sync(folder)
        _finish_replacing(folder)
        _remove_surplus(folder, step, keep, keep_best)
    return final


def _require(place: Path, known: Fingerprints) -> None:
    for name, expected in known.items():
        file = place / name
        if not file.is_file() or file.stat().st_size != expected["size"]:
            raise FileNotFoundError(
                f"{file} was written by another process and is not to be seen here: the folder of a run has to lie "
                "on a disk that all nodes share; set storage=FOLDER to one"
            )


def _remove_surplus(folder: Path, step: int, keep: int, keep_best: bool) -> None:
    there = steps(folder)
    kept = [found for found in there if found <= step][:keep]
    if keep_best and (best := best_step(folder, step)) is not None:
        kept.append(best)
    for found in there:
        if found not in kept:
            shutil.rmtree(folder / name_of(found))


def best_step(folder: Path, last: int | None = None) -> int | None:
    """The checkpoint of the highest held-out accuracy, of equal ones the newest; None if none was evaluated."""
    rated = [
        (accuracy, step)
        for step, place in _places(folder)
        if (last is None or step <= last) and (accuracy := _accuracy(place)) is not None
    ]
    return max(rated)[1] if rated else None


def _accuracy(checkpoint: Path) -> float | None:
    try:
        value = read_state(checkpoint).get(ACCURACY)
    except (OSError, ValueError, AttributeError):
        return None
    return float(value) if isinstance(value, int | float) else None


def newest_complete(folder: Path, at_most: int | None = None) -> tuple[Path, list[str]]:
    """The newest checkpoint whose every file is what its manifest says, of step ``at_most`` or before.

    The second value tells, one line each, which newer ones were passed over and why. Raises
    FileNotFoundError if there is none to use.
    """
    messages: list[str] = []
    for step, place in _places(folder):
        if at_most is not None and step > at_most:
            continue
        fault = _fault(place)
        if fault is None:
            return place, messages
        messages.append(f"checkpoint {name_of(step)} cannot be used and was passed over: {fault}")
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


def name_of(step: int) -> str:
    """Of its folder."""
    return f"step-{step:06d}"


def step_of(name: str) -> int:
    """Of the checkpoint in a folder of this name; -1 for another folder."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match is not None and match[1] else -1


def _files(place: Path) -> list[Path]:
    return sorted(file for file in place.rglob("*") if file.is_file())


def _relative(place: Path, file: Path) -> str:
    return file.relative_to(place).as_posix()


def _fingerprint(file: Path) -> dict[str, Any]:
    """Hashing lets go of the interpreter's lock, so files are hashed at once by as many threads."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"size": file.stat().st_size, "sha256": digest}


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None. Sizes are compared before anything is hashed."""
    try:
        files: Fingerprints = json.loads((checkpoint / MANIFEST).read_text())["files"]
    except FileNotFoundError:
        return f"it has no {MANIFEST}"
    except (ValueError, KeyError, TypeError, OSError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    if ONE_FILE in files:
        return (
            "it was written by an older version, which cannot be gone on from; it is a Hugging Face folder, from "
            f"which a new run can start: model={checkpoint}"
        )
    present = {_relative(checkpoint, file) for file in _files(checkpoint)}
    for name, expected in files.items():
        if name not in present:
            return f"{name} is missing"
        size = (checkpoint / name).stat().st_size
        if size != expected["size"]:
            return f"{name} has {size} bytes instead of {expected['size']}"
    found = fingerprints(checkpoint, [checkpoint / name for name in files])
    return next((f"{name} has changed (SHA-256)" for name in files if found[name] != files[name]), None)


def _to_disk(place: Path) -> None:
    for entry in place.rglob("*"):
        sync(entry)
    sync(place)
