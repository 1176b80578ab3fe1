"""Rows of tables and data sets: Parquet and Arrow through ``pyarrow``, CSV through ``pandas``, folders and the hub
through ``datasets``, each imported when there is such a thing to read.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from raysgpo.config.data_source import DATA_ENDINGS

Row = dict[str, Any]


def table_rows(file: Path, name: str) -> Iterator[Row]:
    """The rows of a Parquet or an Arrow file; NaN is null, dates are text.

    Raises:
        ValueError: it is none.
    """
    try:
        for batch in _batches(file):
            yield from map(_plain_row, batch.to_pylist())
    except Exception as error:  # of many kinds
        kind = file.suffix.removeprefix(".").capitalize()
        raise ValueError(f"{name}: it cannot be read as {kind}: {_brief(error)}") from None


def _batches(file: Path) -> Iterator[Any]:
    if file.suffix == ".parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(file) as table:
            yield from table.iter_batches()
        return
    import pyarrow

    with pyarrow.memory_map(str(file)) as source:
        try:
            yield from pyarrow.ipc.open_stream(source)
        except pyarrow.ArrowInvalid:  # the other of its two forms
            opened = pyarrow.ipc.open_file(source)
            yield from (opened.get_batch(index) for index in range(opened.num_record_batches))


def csv_rows(file: Path, name: str) -> Iterator[Row]:
    """The rows of a CSV or a TSV file with a line of names. An empty cell is null.

    Read as text: types that are guessed turn the answer ``033`` into 33. A column is of numbers, or of true and false,
    where every cell is one as it would be written again.

    Raises:
        ValueError: it is none.
    """
    import pandas

    separator = "\t" if file.name.removesuffix(".gz").endswith(".tsv") else ","
    try:
        table = pandas.read_csv(file, sep=separator, dtype=str, na_filter=False, index_col=False, encoding="utf-8-sig")
    except Exception as error:
        raise ValueError(f"{name}: it cannot be read as CSV: {_brief(error)}") from None
    columns = {str(column): _typed([str(cell) for cell in table[column]]) for column in table.columns}
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def saved_rows(folder: Path, name: str, split: str) -> Iterator[Row]:
    """The rows of a folder of ``save_to_disk``; of several splits, of this one.

    Raises:
        ValueError: there is no such split, or it cannot be read.
    """
    try:
        if (folder / "dataset_dict.json").is_file():
            splits = json.loads((folder / "dataset_dict.json").read_text())["splits"]
            folder = folder / chosen_split(splits, split, name)
        yield from map(_plain_row, _datasets().load_from_disk(str(folder)))
    except _NoSplit:
        raise
    except Exception as error:
        raise ValueError(f"{name}: it cannot be read as a saved data set: {_brief(error)}") from None


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote it."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def files_in(folder: Path, name: str, split: str, subset: str | None) -> list[Path]:
    """The files of a split, as ``datasets`` takes them from their names and from the folder's README.md.

    Raises:
        ValueError: there are none, no such split, or they are of another kind.
    """
    try:
        builder = _datasets().load_dataset_builder(str(folder), name=subset)
        splits = {str(one): [Path(file) for file in files] for one, files in builder.config.data_files.items()}
    except Exception as error:
        raise ValueError(f"{name}: it is a folder without a data set: {_brief(error)}") from None
    files = splits[chosen_split(splits, split, name)]
    other = [file.name for file in files if not file.name.removesuffix(".gz").endswith(DATA_ENDINGS)]
    if other:
        raise ValueError(f"{name}: {other[0]} holds no rows: give a folder of {', '.join(DATA_ENDINGS)} files")
    return files


def hub_rows(source: str, name: str, split: str, subset: str | None) -> Iterator[Row]:
    """The rows of a data set of the hub, or of what the cache holds of it.

    Raises:
        ValueError: it is not there or cannot be fetched, or has no such split or subset.
    """
    try:
        builder = _datasets().load_dataset_builder(source, name=subset)
        builder.download_and_prepare()
        splits = [str(one) for one in builder.info.splits]
        yield from map(_plain_row, builder.as_dataset(split=chosen_split(splits, split, name)))
    except _NoSplit:
        raise
    except Exception as error:
        raise Unreachable(
            f"{name}: there is no such file or folder, and no data set of that name can be fetched: {_brief(error)}"
        ) from None


class Unreachable(ValueError):
    """Data that is not here."""


class _NoSplit(ValueError):
    pass


def chosen_split(splits: Iterable[str], wanted: str, name: str) -> str:
    """The split that is read: the one there is, or of several the one that is asked for.

    Raises:
        ValueError: it is not there; the message names those that are.
    """
    known = [str(split) for split in splits]
    if len(known) == 1:
        return known[0]
    if wanted not in known:
        setting = "task.eval_split" if name.startswith("task.eval_path") else "task.split"
        raise _NoSplit(f"{name}: it has no split {wanted!r}: set {setting} to one of {', '.join(known)}")
    return wanted


def _datasets() -> Any:
    import datasets

    datasets.disable_progress_bars()
    for noisy in ("datasets", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    return datasets


def _plain_row(row: Row) -> Row:
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """As JSON has it: NaN, which tables have for what is missing, is null; dates and decimals are text."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return _plain_row(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | datetime.timedelta) else value


def _typed(cells: list[str]) -> list[Any]:
    """The cells of a column in the one kind that all of them are written in."""
    for read in (_number, _truth):
        typed = [read(cell) if cell else None for cell in cells]
        if all(value is not None for cell, value in zip(cells, typed, strict=True) if cell):
            return typed
    return [cell or None for cell in cells]


def _number(cell: str) -> float | None:
    """The integer or the decimal that would be written so again."""
    for kind in (int, float):
        try:
            number = kind(cell)
            if math.isfinite(number) and str(number) == cell:
                return number
        except (ValueError, OverflowError):
            continue
    return None


def _truth(cell: str) -> bool | None:
    return {"true": True, "false": False}.get(cell.lower())


def _brief(error: Exception) -> str:
    """What another package's error says, as a part of one line."""
    said = str(error.__cause__ or error)
    first = next((line for line in said.splitlines() if line.strip()), "") or type(error).__name__
    return " ".join(first.split())[:300]
