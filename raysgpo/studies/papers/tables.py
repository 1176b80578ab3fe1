"""The papers' tables of results, as they print them: what a report shows beside its own numbers.

One JSON file a paper, one row of a table a line; ``doubts`` of a table say what to know before comparing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from raysgpo.config.overrides import ConfigError
from raysgpo.config.section import no_such

FOLDER = Path(__file__).parent
ALIASES = {"lcb": "livecodebench", "olympiads": "olympiadbench", "grademath": "gradeschool", "gsm8ktest": "gsm8k"}
"""A set that two call differently, as ``same_set`` writes it."""
_DOMAIN = re.compile(r"(?:in|out-of)-domain (\w+): ")
"""How CoRPO's table begins a column; the runs call it ``pass@16, code/first_correct``."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    model: str | None
    method: str
    label: str
    """As the paper prints it, or a short form."""
    values: Mapping[str, float | None]
    """By column, in the table's unit."""
    std: Mapping[str, float | None]
    """Where the paper has a spread; else empty."""


@dataclass(frozen=True, slots=True)
class PaperTable:
    name: str
    """Such as ``sgpo_table_2``."""
    title: str
    """Of the paper."""
    number: str
    caption: str
    unit: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    doubts: tuple[str, ...]
    questions: Mapping[str, int]
    """By column how many there are, where the unit is a count."""

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(row.model for row in self.rows if row.model is not None))

    def row(self, method: str) -> PaperRow | None:
        """That of a method, by its label, or by the method's name where one row alone has it; case is of no matter."""
        wanted = method.casefold()
        labelled = [row for row in self.rows if row.label.casefold() == wanted]
        named = [row for row in self.rows if row.method.casefold() == wanted]
        found = labelled or named
        return found[0] if len(found) == 1 else None


def same_set(name: str) -> str:
    """One spelling of a set's name: ``MATH500``, ``math-500`` and ``Math500`` are one, and so are the ALIASES."""
    named = _DOMAIN.sub(r"pass@16, \1/", name)
    plain = "".join(character for character in named.casefold() if character.isalnum())
    return ALIASES.get(plain, plain)


def paper_table(text: str) -> PaperTable:
    """The rows of ``TABLE:MODEL``, such as ``sgpo_table_2:QwQ-32B``; of a table with one model it may be left out.

    Raises:
        ConfigError: there is no such table, or no such model in it; or it has several, and none is named.
    """
    name, _, model = text.partition(":")
    tables = paper_tables()
    if name not in tables:
        raise ConfigError(f"--paper {text}: {no_such('table', name, tables)}")
    table = tables[name]
    if len(table.models) > 1 and not model:
        raise ConfigError(f"--paper {text}: it has several models: write {name}:MODEL, {' or '.join(table.models)}")
    if model and model not in table.models:
        raise ConfigError(f"--paper {text}: {no_such('model', model, table.models)}")
    return replace(table, rows=tuple(row for row in table.rows if row.model == model)) if model else table


@cache
def paper_tables() -> dict[str, PaperTable]:
    """All of them, by name, in the order of the papers."""
    tables: dict[str, PaperTable] = {}
    for key in ("sgpo", "g2rpo_a", "corpo"):
        paper = json.loads((FOLDER / f"{key}.json").read_text(encoding="utf-8"))
        tables |= {table.name: table for table in (_table(key, paper["title"], one) for one in paper["tables"])}
    return tables


def _table(key: str, title: str, table: dict[str, Any]) -> PaperTable:
    return PaperTable(
        name=f"{key}_table_{table['table']}",
        title=title,
        number=table["table"],
        caption=table["caption"],
        unit=table["unit"],
        columns=tuple(table["columns"]),
        rows=tuple(
            PaperRow(row["model"], row["method"], row["label"], row["values"], row.get("std", {}))
            for row in table["rows"]
        ),
        doubts=tuple(table["doubts"]),
        questions=table.get("questions", {}),
    )
