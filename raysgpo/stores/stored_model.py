"""Hugging Face folders in an object store: written so that half of one is none, and fetched once to each node's disk.

``config.json`` is what makes a folder a model, so it is sent last and removed first.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import STORES
from raysgpo.output.whole_file import write_whole
from raysgpo.stores.object_store import ObjectStore, StoreFailed

CONFIG = "config.json"
MODELS = "raysgpo-models"
"""Folder of the scratch folder; below it the scheme and the address of each model."""
LISTING = ".fetched.json"
"""What was fetched: size and time of each object."""


def put_model(folder: Path, store: ObjectStore, under: str) -> None:
    """The folder as ``under``; one that was there is replaced.

    Raises:
        StoreFailed: there is half of it, or the one before, and no ``config.json`` beside half of it.
    """
    files = {f"{under}/{file.relative_to(folder).as_posix()}": file for file in folder.rglob("*") if file.is_file()}
    config = f"{under}/{CONFIG}"
    before = store.names(under)
    store.remove([config, *(name for name in before if name not in files)])
    store.upload((file, name) for name, file in files.items() if name != config)
    store.upload([(files[config], config)])


def model_folder(url: str, scratch: Path) -> Path:
    """Where the model of an address is kept on this node, whether it is there or not."""
    return scratch.joinpath(MODELS, *url.replace("://", "/").split("/"))


def fetch_model(url: str, scratch: Path, setting: str = "model") -> Path:
    """The folder of the model on this node's disk, brought up to date; one process of the node at a time.

    Raises:
        ConfigError: there is none at the address, or it cannot be read.
        WriteFailed: there is no room for it.
    """
    folder = model_folder(url, scratch)
    try:
        with _alone(folder):
            _fetch(ObjectStore(url), folder)
    except StoreFailed as error:
        raise ConfigError(f"{setting}={url}: {error.why}") from None
    return folder


def of_store(model: str) -> bool:
    """Whether it is the folder of a model of a store, which each node fetches for itself."""
    return MODELS in Path(model).parts


def fetch_here(model: str) -> None:
    """On whichever node this is: if ``model`` is the folder of a model of a store, it is there afterwards.

    Raises:
        ConfigError: as ``fetch_model``.
        WriteFailed: likewise.
    """
    parts = Path(model).parts
    if MODELS in parts and not (Path(model) / LISTING).is_file():
        at = parts.index(MODELS)
        scheme, *rest = parts[at + 1 :]
        if scheme in STORES:
            fetch_model(f"{scheme}://{'/'.join(rest)}", Path(*parts[:at]))


def _fetch(store: ObjectStore, folder: Path) -> None:
    entries = {name: list(entry) for name, entry in store.entries().items()}
    if CONFIG not in entries:
        raise StoreFailed(store.url, f"there is no {CONFIG}, so it is no Hugging Face checkpoint", False)
    had = _listed(folder)
    changed = [name for name, entry in entries.items() if had.get(name) != entry or not (folder / name).is_file()]
    if not changed and had.keys() == entries.keys():
        return
    (folder / LISTING).unlink(missing_ok=True)
    for name in had.keys() - entries.keys():
        (folder / name).unlink(missing_ok=True)
    store.download((name, folder / name) for name in changed)
    write_whole(folder / LISTING, json.dumps(entries))


def _listed(folder: Path) -> dict[str, list[Any]]:
    try:
        found: dict[str, list[Any]] = json.loads((folder / LISTING).read_text())
    except (OSError, ValueError):
        return {}
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of the processes of this node that want the same model, one fetches it and the others wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
