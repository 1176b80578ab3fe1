"""docs/algorithms.md says of each preset what the table of presets says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def test_the_table_of_presets_is_true() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = next(row for row in rows if row[0] == "preset")
    table = {row[0].strip("`"): dict(zip(head[1:], row[1:], strict=True)) for row in rows if len(row) == len(head)}
    del table["preset"]
    assert table == {name: flat(preset.settings()) for name, preset in PRESETS.items()}
