"""Rows of a JSONL file that a user gives: each an object, each error with its file and row."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from raysgpo.config.places import user_path
from raysgpo.tasks.plain_json import read_json, unwritable

_Kind = TypeVar("_Kind", bound=BaseModel)


def input_rows(path: str, name: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Row number, counted from 1, the row's place in words, and the row. Blank lines are skipped.

    Args:
        name: what the user calls the file, such as ``task.path=rows.jsonl``.

    Raises:
        ValueError: no such file, no row, a line that is no JSON object, or one that a run could not write down again.
    """
    file = user_path(path)
    if not file.is_file():
        raise ValueError(f"{name}: there is no such file{_near_names(file)}")
    empty = True
    for number, line in enumerate(_lines(file, name), start=1):
        if line.strip():
            empty, where = False, f"{name}, row {number}"
            yield number, where, _object(line, where)
    if empty:
        raise ValueError(f"{name}: the file holds no rows")


def checked_row(kind: type[_Kind], row: dict[str, Any], where: str) -> _Kind:
    """The row as ``kind``.

    Raises:
        ValueError: a field is missing or is of another type; the message names ``where``, and each field.
    """
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg'].lower()}" for one in error.errors()]
        expected = ", ".join(name for name, field in kind.model_fields.items() if field.is_required())
        raise ValueError(f"{where}: {'; '.join(problems)} (a row has {expected})") from None


def _lines(file: Path, name: str) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise ValueError(f"{name}: it cannot be read ({error.strerror})") from None


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = read_json(line)
    except ValueError as error:
        raise ValueError(f"{where}: not JSON ({error}): write one object a line, in UTF-8") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where}: {type(row).__name__} where an object was expected: write one object a line")
    if unwritable(row) is not None:
        field, why = next((field, why) for field in row if (why := unwritable({field: row[field]})) is not None)
        raise ValueError(f"{where}: {ascii(field)[1:-1]}: {why}; mend it, or leave it out")
    return row


def _near_names(file: Path) -> str:
    if file.is_dir():
        return f", it is a folder ({_names(file, 'groups.jsonl') or 'without a JSONL file'})"
    if not file.parent.is_dir():
        return f", nor the folder {file.parent}"
    return f" (in its folder: {_names(file.parent, file.name) or 'no JSONL file'})"


def _names(folder: Path, name: str) -> str:
    """Files of the folder that may have been meant."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    return ", ".join(
        difflib.get_close_matches(name, names, n=3) or [name for name in names if name.endswith(".jsonl")][:3]
    )
