"""Rows that a user gives, in whatever form: each an object, each error with its source and row."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from raysgpo.config.data_source import DATA_ENDINGS, is_hub_name
from raysgpo.config.places import is_address, user_path
from raysgpo.data.json_rows import checked_object, json_rows
from raysgpo.data.table_rows import Unreachable, csv_rows, files_in, hub_rows, is_saved, saved_rows, table_rows

_Kind = TypeVar("_Kind", bound=BaseModel)
_Rows = Iterator[tuple[int, str, dict[str, Any]]]


def input_rows(path: str, name: str, split: str = "train", subset: str | None = None) -> _Rows:
    """Row number, counted from 1, the row's place in words, and the row. Blank lines are skipped.

    Args:
        path: a file of JSON lines, Parquet, Arrow, CSV or TSV, a folder of them or of ``save_to_disk``, or
            ``owner/name`` on the Hugging Face hub. A file that is called otherwise is read as JSON lines.
        name: what the user calls it, such as ``task.path=rows.jsonl``.
        split: of a folder or a data set that has several.
        subset: of a data set that has several; also called its configuration.

    Raises:
        ValueError: it is not there, has no row, or one that is no object or that a run could not write down again.
    """
    empty = True
    for row in _rows(path, name, split, subset):
        empty = False
        yield row
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


def _rows(path: str, name: str, split: str, subset: str | None) -> _Rows:
    place = user_path(path)
    if place.is_file():
        return _file_rows(place, name)
    if place.is_dir() and is_saved(place):
        return _numbered(saved_rows(place, name, split), name)
    if place.is_dir():
        return _folder_rows(place, name, split, subset)
    if is_hub_name(path):
        return _numbered(hub_rows(path, name, split, subset), name)
    if is_address(path):
        raise ValueError(f"{name}: rows are not read from an address: give a file, a folder, or owner/name on the hub")
    raise Unreachable(f"{name}: there is no such file{_near_names(place)}")


def _file_rows(file: Path, name: str) -> _Rows:
    kind = file.name.removesuffix(".gz")
    if kind.endswith((".csv", ".tsv")):
        return _numbered(csv_rows(file, name), name)
    if file.suffix in (".parquet", ".arrow"):
        return _numbered(table_rows(file, name), name)
    return json_rows(file, name)


def _folder_rows(folder: Path, name: str, split: str, subset: str | None) -> _Rows:
    """The files of the folder one after the other: a place names the file, and numbers go on."""
    number = 0
    for file in files_in(folder, name, split, subset):
        inside = file.relative_to(folder) if file.is_relative_to(folder) else file.name
        for _, where, row in _file_rows(file, f"{name}, {inside}"):
            number += 1
            yield number, where, row


def _numbered(rows: Iterable[dict[str, Any]], name: str) -> _Rows:
    for number, row in enumerate(rows, start=1):
        where = f"{name}, row {number}"
        yield number, where, checked_object(row, where)


def _near_names(file: Path) -> str:
    if not file.parent.is_dir():
        return f", nor the folder {file.parent}"
    return f" (in its folder: {_names(file.parent, file.name) or 'no file of rows'})"


def _names(folder: Path, name: str) -> str:
    """Files of the folder that may have been meant."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    rows = [name for name in names if name.removesuffix(".gz").endswith(DATA_ENDINGS)]
    return ", ".join(difflib.get_close_matches(name, names, n=3) or rows[:3])
