"""Rows of JSON text, each exactly as it was written.

The readers of tables give every column one type: a number among texts becomes a text, or the file is refused as a
whole. A row of JSON keeps its own types here, and is named where it is wrong.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from raysgpo.data.plain_json import read_json, unwritable

Row = dict[str, Any]


def json_rows(file: Path, name: str) -> Iterator[tuple[int, str, Row]]:
    """Row number, from 1, the row's place in words, and the row, of lines of JSON or of one list of objects.

    Args:
        name: what the user calls the file.

    Raises:
        ValueError: it cannot be read, a line is no JSON object, or one that a run could not write down again.
    """
    for number, line in _lines(file, name):
        where = f"{name}, row {number}"
        if isinstance(line, bytes):
            try:
                line = read_json(line)
            except ValueError as error:
                raise ValueError(f"{where}: not JSON ({error}): write one object a line, in UTF-8") from error
        yield number, where, checked_object(line, where)


def checked_object(row: Any, where: str) -> Row:
    """The row.

    Raises:
        ValueError: it is no object, or one that a run could not write down again; the message names the field.
    """
    if not isinstance(row, dict):
        raise ValueError(f"{where}: {type(row).__name__} where an object was expected: write one object a line")
    if unwritable(row) is not None:
        field, why = next((field, why) for field in row if (why := unwritable({field: row[field]})) is not None)
        raise ValueError(f"{where}: {ascii(field)[1:-1]}: {why}; mend it, or leave it out")
    return row


def _lines(file: Path, name: str) -> Iterator[tuple[int, Any]]:
    """Numbers and lines that are not blank; of a file that is one list, its members."""
    try:
        with _opened(file) as lines:
            if file.name.removesuffix(".gz").endswith(".json") and lines.peek(64).lstrip().startswith(b"["):
                yield from enumerate(_list(lines.read(), name), start=1)
            else:
                yield from ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{name}: it cannot be read ({why})") from None


def _opened(file: Path) -> Any:
    return cast(IO[bytes], gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")


def _list(text: bytes, name: str) -> list[Any]:
    try:
        return list(read_json(text))
    except ValueError as error:
        raise ValueError(f"{name}: not JSON ({error})") from error
