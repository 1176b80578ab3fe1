"""Settings that name data: one source or several with weights, and which columns a task reads."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from raysgpo.config.places import user_path

DATA_ENDINGS = (".jsonl", ".json", ".parquet", ".csv", ".tsv", ".arrow")
"""Files that hold rows, each also behind ``.gz`` where it is text."""
_FORMS = "name one source, several [a.jsonl,b.parquet], or several with weights {a.jsonl: 2, b.jsonl: 1}"


def is_hub_name(text: str) -> bool:
    """Whether it can be a data set of the hub (``owner/name``), and nothing here is called so."""
    named = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text) is not None
    return named and not text.removesuffix(".gz").endswith(DATA_ENDINGS) and not user_path(text).exists()


def checked_sources(value: Any) -> str | tuple[str, ...] | dict[str, float] | None:
    """One source, several, or several with their weights.

    Raises:
        ValueError: none of these, a source named twice, or a weight that is no positive number.
    """
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    if isinstance(value, Mapping):
        weights = dict(_unspaced(value, last=True))
        if not weights:
            raise _refused(_FORMS)
        return {path: _weight(path, weight) for path, weight in weights.items()}
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) and one.strip() for one in value):
        if len(set(value)) < len(value):
            raise _refused("a source is named twice: give it a weight, {FILE: 2}")
        return tuple(value)
    raise _refused(_FORMS)


def checked_columns(value: Any) -> dict[str, tuple[str, ...]]:
    """Each field of a task to the columns that it may be in, the first that is there.

    Raises:
        ValueError: something else.
    """
    columns: dict[str, tuple[str, ...]] = {}
    for field, column in _unspaced(value) if isinstance(value, Mapping) else ():
        names = (column,) if isinstance(column, str) else column
        if not isinstance(names, list | tuple) or not names or not all(isinstance(n, str) and n.strip() for n in names):
            raise _refused(f"{field}: name its column, as in {{question: problem}}")
        columns[field] = tuple(names)
    if not isinstance(value, Mapping):
        raise _refused("write fields with their columns, {question: problem}")
    return columns


def _unspaced(value: Mapping[Any, Any], last: bool = False) -> list[tuple[str, Any]]:
    """What YAML reads in ``{question:problem}``, one name without a value, as it was meant."""
    found = []
    for name, given in value.items():
        if given is None and isinstance(name, str) and ":" in name:
            name, _, given = name.rpartition(":") if last else name.partition(":")
        found.append((str(name), given))
    return found


def _weight(path: str, weight: Any) -> float:
    try:
        number = float(weight) if not isinstance(weight, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= 1000:
        raise _refused(f"{path}: {weight} where a weight above 0 was expected, as in {{a.jsonl: 2, b.jsonl: 1}}")
    return number


def _refused(why: str) -> PydanticCustomError:
    """A plain ValueError of a mapping would be shown without its key."""
    return PydanticCustomError("data_source", "{why}", {"why": why})


Sources = Annotated[str | tuple[str, ...] | dict[str, float] | None, BeforeValidator(checked_sources)]
"""A setting that names where rows are."""
Columns = Annotated[dict[str, tuple[str, ...]], BeforeValidator(checked_columns)]
"""A setting that maps fields to columns."""
