"""How hard the prompts were: a histogram of their success rates, early in training and late."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from raysgpo.output.json_lines import Row, read_rows
from raysgpo.output.metrics import SUCCESS
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import writing

BARS = 0.4
"""Width of a bar: two stand in each place."""


def draw_success(run: RunFolder) -> Path:
    """Writes ``success.png`` from the run's own records and returns its path."""
    matplotlib.use("Agg")
    rows = list(read_rows(run.metrics))
    tenth = max(1, len(rows) // 10)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for side, (label, colour, some) in enumerate(
        ((f"first {tenth} steps", "#9ecae1", rows[:tenth]), (f"last {tenth} steps", "#1f77b4", rows[-tenth:]))
    ):
        places = [place + (side - 0.5) * BARS for place in range(len(SUCCESS))]
        axes.bar(places, mean_shares(some), BARS, color=colour, label=label)
    axes.set_xticks(range(len(SUCCESS)), [_shown(name) for name in SUCCESS])
    axes.set(xlabel="right answers of a prompt", ylabel="share of the groups", ylim=(0, 1), title=run.path.name)
    axes.grid(alpha=0.3, axis="y")
    axes.legend()
    with writing(run.success, 0):
        figure.savefig(run.success, dpi=120)
    return run.success


def mean_shares(rows: Sequence[Row]) -> list[float]:
    """Of each place of SUCCESS, over the steps that had a group; zeros where none had."""
    known = [row for row in rows if row.get("success/0") is not None]
    return [statistics.fmean(row[f"success/{name}"] for row in known) if known else 0.0 for name in SUCCESS]


def _shown(name: str) -> str:
    """``0_20`` as it stands below a bar."""
    return {"0": "none", "100": "all"}.get(name, name.replace("_", "\u2013") + " %")
