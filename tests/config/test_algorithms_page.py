"""docs/algorithms.md says of each preset what the table of presets says."""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

from raysgpo.algorithms.baselines import BASELINES
from raysgpo.algorithms.surrogates import SURROGATES
from raysgpo.config.presets import PRESETS

PAGE = Path(__file__).parents[2] / "docs" / "algorithms.md"


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted names to values as the page writes them."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = "-" if value is None else value if isinstance(value, str) else json.dumps(value)
    return found


def table(of: str) -> dict[str, dict[str, str]]:
    """The table whose first column has this head: name to its other cells, by their heads."""
    lines = PAGE.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| {of} |"))
    rows = [
        [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        for line in takewhile(lambda line: line.startswith("|"), lines[first:])
    ]
    return {row[0].strip("`"): dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def test_the_table_of_presets_is_true() -> None:
    assert table("preset") == {name: flat(preset.settings()) for name, preset in PRESETS.items()}


def test_the_table_of_baselines_is_true() -> None:
    assert table("baseline") == {name: {"b": row.summary, "where": row.source} for name, row in BASELINES.items()}


def test_the_table_of_surrogates_is_true() -> None:
    assert table("surrogate") == {
        name: {"loss of a token": row.formula, "w is of": row.ratio, "where": row.source}
        for name, row in SURROGATES.items()
    }
