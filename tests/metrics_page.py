"""The names that ``docs/metrics.md`` defines."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"


def defined() -> set[str]:
    """Every name in the first column of a table; NAME, N, K and CATEGORY in them stand for something."""
    rows = re.findall(r"^\| (`.+?`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(.+?)`", row)}
