"""Which column of a row is which field of a task: ``task.columns``."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Columns = Mapping[str, Sequence[str]]

_MISSING = object()
USUAL = {
    "question": ("problem", "prompt", "query", "instruction", "input", "messages", "question_content"),
    "answer": ("final_answer", "ground_truth", "gold", "target", "expected_answer", "label", "output"),
    "solution": ("generation", "generations", "reasoning", "rationale", "cot", "response", "completion"),
    "tests": ("test", "test_cases", "unit_tests", "test_list", "input_output"),
}
"""What data sets that are often trained on call the fields: to be suggested, never taken unasked."""


def check_columns(rows: Iterable[Row], columns: Columns, name: str) -> None:
    """Raises ValueError, with the nearest names, for a column that no row has."""
    rows = list(rows)
    for field, candidates in columns.items():
        if not any(_found(row, candidates) is not _MISSING for row in rows):
            wanted = " or ".join(candidates)
            raise ValueError(
                f"{name}: there is no column {wanted} (task.columns={{{field}: {', '.join(candidates)}}})"
                f"{nearest(candidates[0], _names(rows))}"
            )


def mapped(row: Row, columns: Columns, fields: Collection[str] = ()) -> Row:
    """The row with its fields under their own names, null where it lacks the column. A column that became a field is no
    other, unless it has the name of one of the task's ``fields``."""
    if not columns:
        return row
    found = {field: _found(row, candidates) for field, candidates in columns.items()}
    used = {name for candidates in columns.values() for name in candidates}
    kept = {name: value for name, value in row.items() if name not in used or name in fields}
    return kept | {field: None if value is _MISSING else value for field, value in found.items()}


def nearest(word: str, names: Sequence[str]) -> str:
    """``; did you mean problem? It has id, problem and answer``"""
    near = difflib.get_close_matches(word, names, n=1) or difflib.get_close_matches(
        word.casefold(), [name for name in names if name.casefold() == word.casefold()], n=1, cutoff=0
    )
    said = f"; did you mean {near[0]}?" if near else ";"
    return f"{said} it has {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"


def suggestion(field: str, row: Row) -> str:
    """How to name the column of a field that the row lacks: ``, or name its column: task.columns={...}``"""
    names = [name for name in row if name != "id"]
    usual = [name for name in USUAL.get(field, ()) if name in row]
    near = usual or difflib.get_close_matches(field, names, n=1) or ["COLUMN"]
    return f", or name its column: task.columns={{{field}: {near[0]}}} (it has {', '.join(names)})" if names else ""


def value_at(row: Row, name: str) -> Any:
    """The value of a column, or of a field within one, ``reward_model.ground_truth``; None where there is none."""
    value = _at(row, name)
    return None if value is _MISSING else value


def _found(row: Row, candidates: Sequence[str]) -> Any:
    return next((value for name in candidates if (value := _at(row, name)) is not _MISSING), _MISSING)


def _at(row: Any, name: str) -> Any:
    if not isinstance(row, dict):
        return _MISSING
    if name in row:
        return row[name]
    first, dot, rest = name.partition(".")
    return _at(row[first], rest) if dot and first in row else _MISSING


def _names(rows: Iterable[Row]) -> list[str]:
    """All columns, and the fields within those that are objects."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            names[name] = None
            if isinstance(value, dict):
                names |= {f"{name}.{inner}": None for inner in value}
    return list(names)
