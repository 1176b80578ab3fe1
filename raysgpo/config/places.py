"""Files and folders as users name them."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def user_path(text: str) -> Path:
    """The path with its ``~`` filled in; one of nobody's home stays as it is, and is not there then."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


STORES = ("s3", "gs")
"""Schemes of the object stores in which a run may be kept."""


def is_address(text: str) -> bool:
    return "://" in text


def in_store(text: str) -> bool:
    """Whether it names a place in an object store of ours."""
    return text.partition("://")[0] in STORES and is_address(text)


def checked_storage(text: str) -> str:
    """The storage itself.

    Raises:
        ValueError: it is no folder's name.
    """
    if is_address(text):
        raise ValueError("a folder is needed and no address: name one that all nodes see")
    if not text.strip() or "\0" in text:
        raise ValueError("no folder can be called so; leave it out to take one in your home")
    if text.startswith("~") and user_path(text) == Path(text):
        raise ValueError("there is no such home: write the folder's whole path")
    return text


def checked_run_storage(text: str) -> str:
    """As ``checked_storage``, or a place in an object store, without a slash at its end."""
    return checked_address(text) if is_address(text) else checked_storage(text)


def checked_address(text: str) -> str:
    """The address of a place in an object store, without a slash at its end.

    Raises:
        ValueError: it is none, or of another kind of store.
    """
    scheme, _, rest = text.partition("://")
    if scheme not in STORES:
        raise ValueError(
            f"{scheme}:// is not supported: give a folder that all nodes share, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
        )
    if "?" in rest or "@" in rest:
        raise ValueError(
            "an address is BUCKET/PREFIX alone: keys, region and endpoint are read from the environment (AWS_REGION, "
            "AWS_ENDPOINT_URL, ...)"
        )
    bucket, *parts = rest.rstrip("/").split("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", bucket) or not all(parts):
        raise ValueError(f"there can be no such bucket; write {scheme}://BUCKET/PREFIX")
    return text.rstrip("/")


Storage = Annotated[str, AfterValidator(checked_storage)]
"""A setting that names a folder."""
RunStorage = Annotated[str, AfterValidator(checked_run_storage)]
"""A setting that names where runs are numbered: a folder, or a place in an object store."""


def storage_folder(storage: str, setting: str = "storage") -> Path:
    """Where a folder is that a setting names.

    Raises:
        ValueError: it is no folder's name; the message begins with the setting.
    """
    try:
        return user_path(checked_storage(storage)).absolute()
    except ValueError as error:
        raise ValueError(f"{setting}={storage}: {error}") from None


def check_writable(setting: str, folder: Path) -> None:
    """The folder, which is made if it is not there, takes files.

    Raises:
        ValueError: it does not; the message names the setting.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"{setting}={folder}: nothing can be written there ({error.strerror}); choose another folder"
        ) from None
