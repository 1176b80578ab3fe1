"""The report: ``report.html``, which needs nothing beside itself, and ``report.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raysgpo.output.whole_file import write_whole
from raysgpo.studies.comparison.figures import draw_all
from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.comparison.results import read_results
from raysgpo.studies.comparison.summary import Json, considered, summarize
from raysgpo.studies.page.environment import page_environment
from raysgpo.studies.page.pictures import Picture

SHARES = (
    "held-out accuracy",
    "pass@",
    "all-negative share",
    "truncated failures",
    "logical failures",
    "wrong and reinforced",
    "clipped tokens",
    "judge overhead",
)
"""Numbers that are shown in percent, by how their names begin."""
UNKNOWN = "–"  # noqa: RUF001


def write_report(plan: Plan, target: float | None = None) -> Json:
    """Writes both files from the run folders that are there, and returns what ``report.json`` holds."""
    runs = read_results(plan)
    used = considered(plan, runs)
    summary = {**summarize(plan, used, target), "unused": [run.name for run in runs if run not in used]}
    write_whole(plan.folder / "report.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    write_whole(plan.folder / "report.html", page(summary, draw_all(plan, used, summary), plan.folder.name))
    return summary


def page(summary: Json, pictures: Sequence[Picture], title: str) -> str:
    """The report as HTML; pictures are data URIs."""
    environment = page_environment()
    environment.filters.update(number=number, signed=signed, points=points, spread=spread_text)
    return environment.get_template("comparison/report.html.j2").render(title=title, s=summary, images=pictures)


def number(value: float | int | None, name: str = "") -> str:
    """A value in the unit of the number of that name."""
    if value is None:
        return UNKNOWN
    return f"{100 * value:.1f} %" if name.startswith(SHARES) else f"{value:,.{_decimals(value)}f}"


def spread_text(cell: dict[str, Any] | None, name: str) -> str:
    """``mean ± std`` over seeds."""
    if cell is None:
        return UNKNOWN
    mean, std = cell["mean"], cell["std"]
    if std is None:
        return number(mean, name)
    if name.startswith(SHARES):
        return f"{100 * mean:.1f} ± {100 * std:.1f} %"
    decimals = _decimals(mean)
    return f"{mean:,.{decimals}f} ± {std:,.{decimals}f}"


def _decimals(value: float) -> int:
    """Enough for three digits, none for a large number or nothing at all."""
    if value == 0:
        return 0
    return next((decimals for decimals, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)


def signed(value: float) -> str:
    """Steps with their sign."""
    return f"{value:+.1f}".replace("-", "−")  # noqa: RUF001


def points(value: float) -> str:
    """A difference of shares as percentage points, with its sign."""
    return signed(100 * value)
