"""Rows of a JSONL file that a person wrote: whatever is wrong is an error that names file and row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

_Kind = TypeVar("_Kind", bound=BaseModel)


def numbered_rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every object of the file with the number of its line, from 1. Blank lines are skipped.

    Raises:
        ValueError: no such file, or a line that is no JSON object.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        inside = f"a folder; give a file, such as {file / 'groups.jsonl'}" if file.is_dir() else "no such file"
        raise ValueError(f"{path}: {inside}")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}, row {number}"
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{where}: not JSON ({error}): write one object a line, in UTF-8") from None
            if not isinstance(row, dict):
                raise ValueError(f"{where}: {type(row).__name__} where an object was expected")
            yield number, row


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
