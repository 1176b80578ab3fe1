"""Files and folders as users name them."""

from __future__ import annotations

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


def checked_storage(text: str) -> str:
    """The storage itself.

    Raises:
        ValueError: it is no folder's name.
    """
    if "://" in text:
        raise ValueError("a folder is needed and no address: name one that all nodes see, such as a mounted bucket")
    if not text.strip() or "\0" in text:
        raise ValueError("no folder can be called so; leave it out to take one in your home")
    if text.startswith("~") and user_path(text) == Path(text):
        raise ValueError("there is no such home: write the folder's whole path")
    return text


Storage = Annotated[str, AfterValidator(checked_storage)]
"""A setting that names the folder under which runs are numbered."""


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
