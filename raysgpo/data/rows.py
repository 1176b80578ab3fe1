"""The rows of a task: read, their columns named, filtered, and each with an id of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, Literal

from raysgpo.config import TaskConfig
from raysgpo.data.columns import check_columns, mapped
from raysgpo.data.input_rows import input_rows
from raysgpo.data.report import Source, current, leave_out
from raysgpo.data.where import Where

Which = Literal["path", "eval_path"]
Row = dict[str, Any]
IDS = ("id", "task_id", "question_id")
"""What data sets call the ids of their rows; the first that is there counts."""


def read_rows(config: TaskConfig, which: Which = "path") -> Iterator[tuple[int, str, Row]]:
    """Row number within its source, from 1; the row's place in words; and the row, which has a text as its ``id``.

    ``task.columns`` are under the names of the fields, and rows for which ``task.where`` is false are left out of
    ``task.path`` (of ``task.eval_path`` ``task.eval_where``). An id is the row's own (``IDS``), or ``row-12``; behind
    the name of its file where there are several, ``aime:row-12``. Then a row also has the file as its ``source``, and
    in ``task.eval_path`` as its ``category``, unless it has its own.

    Raises:
        ValueError: a source cannot be read, a column is not there, no row passes the filter, or an id comes twice; the
            message names file and row.
    """
    report, setting = current(), f"task.{which}"
    paths = config.sources(which)
    filtered, wanted = ("task.where", config.where) if which == "path" else ("task.eval_where", config.eval_where)
    where = None if wanted is None else Where(wanted, filtered)
    ids: set[str] = set()
    for prefix, (path, weight) in zip(prefixes(list(paths)), paths.items(), strict=True):
        source = Source(setting, path, weight)
        report.sources.append(source)
        for number, place, row in _passing(config, which, source, where):
            row = _named(row, number, place, prefix, which)
            if row["id"] in ids:
                raise ValueError(
                    f"{place}: the id {row['id']!r} was used by an earlier row: "
                    "make the ids distinct, or leave them out"
                )
            ids.add(row["id"])
            if which == "path":
                report.places[row["id"]] = source, place
            yield number, place, row


def prefixes(paths: Sequence[str]) -> list[str]:
    """What the ids of each source begin with: nothing for one, else the end of its path that tells it apart."""
    if len(paths) == 1:
        return [""]
    parts = [PurePath(path).parts for path in paths]
    for shorten in (_stem, str):
        for depth in range(1, max(map(len, parts)) + 1):
            names = [shorten("/".join(part[-depth:])) for part in parts]
            if len(set(names)) == len(paths):
                return [f"{name}:" for name in names]
    raise AssertionError("the configuration refuses a source that is named twice")


def _stem(name: str) -> str:
    path = PurePath(name.removesuffix(".gz"))
    return str(path.with_suffix("")) if path.suffix in (".jsonl", ".json", ".parquet", ".csv", ".tsv") else name


def _passing(config: TaskConfig, which: Which, source: Source, where: Where | None) -> Iterator[tuple[int, str, Row]]:
    """The rows of one source under the names of their fields, less those that the filter leaves out."""
    split = config.split if which == "path" else config.eval_split
    rows = []
    for number, place, row in input_rows(source.path, source.name, split, config.subset):
        source.read(row)
        rows.append((number, place, row))
    check_columns([row for _, _, row in rows], config.columns, source.name)
    fields = config.row.fields or ()
    named = [(number, place, mapped(row, config.columns, fields)) for number, place, row in rows]
    if where is None:
        yield from named
        return
    where.check_names(list({name: None for _, _, row in named for name in row}), source.name)
    kept = [(number, place, row) for number, place, row in named if _kept(where, row, place)]
    if not kept:
        raise ValueError(f"{where.named}: none of the {len(rows):,} rows of {source.name} passes")
    yield from kept


def _kept(where: Where, row: Row, place: str) -> bool:
    kept = where.keeps(row, place)
    if not kept:
        identity = row.get("id")
        leave_out(place, None if identity is None else str(identity), f"{where.setting} is false")
    return kept


def _named(row: Row, number: int, place: str, prefix: str, which: Which) -> Row:
    """The row with its id, and the name of its source where there are several."""
    name = next((name for name in IDS if row.get(name) is not None), "id")
    identity = row.get(name)
    if isinstance(identity, bool | list | dict):
        raise ValueError(
            f"{place}: {name} is {type(identity).__name__} where text was expected: mend it or leave it out"
        )
    row = {**row, "id": f"{prefix}{f'row-{number}' if identity is None else identity}"}
    if prefix:
        row = {"source": prefix[:-1]} | row
        if which == "eval_path":
            row = {"category": prefix[:-1]} | row
    return row
