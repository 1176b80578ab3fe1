"""The names that ``docs/metrics.md`` defines."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
PROMETHEUS = "## In Prometheus"
"""The heading of the last section, which has the same numbers under their other names."""


def defined() -> set[str]:
    """Every name in the first column of a table; NAME, N, K and CATEGORY in them stand for something."""
    text = PAGE.read_text(encoding="utf-8").partition(PROMETHEUS)[0]
    rows = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(.+?)`", row)}
