"""Who is reinforced and who is pushed down: figures 1 and 2 of CoRPO (arXiv 2511.04439) for any runs.

Figure 1 is the share of rollouts by the sign of their advantage and by whether they are right, early in
training and late. Figure 2 is the ratio of positive to negative advantages over the steps, by count and
by loss.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raysgpo.output.json_lines import read_rows
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import writing

SLICES = {
    "right_positive": ("right, A > 0", "#2ca02c"),
    "right_negative": ("right, A < 0", "#b5dfb5"),
    "zero": ("A = 0", "#d9d9d9"),
    "wrong_negative": ("wrong, A < 0", "#f4b6b6"),
    "wrong_positive": ("wrong, A > 0", "#d62728"),
}
LABELLED = 0.04
"""Smaller slices carry no number: it would not fit."""


def draw_advantages(runs: Sequence[RunFolder], path: Path) -> Path:
    """Writes the picture of these runs, from their own records, and returns its path."""
    matplotlib.use("Agg")
    rows = {run.path.name: list(read_rows(run.metrics)) for run in runs}
    figure = Figure(figsize=(13, 3.4 + 0.45 * len(runs)), layout="constrained")
    shares, count, loss = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
    _draw_shares(shares, rows)
    _draw_ratio(count, rows, "advantage/r_count", "rollouts with A > 0 / with A < 0")
    _draw_ratio(loss, rows, "advantage/r_loss", "|loss| of tokens with A > 0 / with A < 0")
    with writing(path, 0):
        figure.savefig(path, dpi=120)
    return path


def slice_shares(rows: Sequence[Metrics]) -> dict[str, float]:
    """Mean share of the rollouts in each slice over these steps; zeros where no step had a rollout."""
    known = [row for row in rows if row.get("advantage/right_positive_share") is not None]
    found = {
        name: statistics.fmean(float(row[f"advantage/{name}_share"] or 0) for row in known) if known else 0.0
        for name in SLICES
        if name != "zero"
    }
    return {name: found.get(name, 1 - sum(found.values()) if known else 0.0) for name in SLICES}


def _draw_shares(axes: Axes, rows: dict[str, list[Metrics]]) -> None:
    bars = {}
    for name, steps in rows.items():
        tenth = max(1, len(steps) // 10)
        bars[f"{name}\nfirst {tenth} steps"] = slice_shares(steps[:tenth])
        bars[f"{name}\nlast {tenth} steps"] = slice_shares(steps[-tenth:])
    left = [0.0] * len(bars)
    for slice_name, (label, colour) in SLICES.items():
        widths = [bar[slice_name] for bar in bars.values()]
        drawn = axes.barh(range(len(bars)), widths, left=left, color=colour, label=label)
        axes.bar_label(drawn, [f"{w:.0%}" if w >= LABELLED else "" for w in widths], label_type="center", fontsize=8)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(bars)), list(bars), fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of rollouts", title="sign of the advantage, and correctness")
    axes.legend(ncols=3, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def _draw_ratio(axes: Axes, rows: dict[str, list[Metrics]], metric: str, title: str) -> None:
    """A step in which one of the two sides is empty is a gap, not a point: zero has no place on this axis."""
    for name, steps in rows.items():
        values = [float(value) if (value := row.get(metric)) else float("nan") for row in steps]
        axes.plot([float(row["step"] or 0) + 1 for row in steps], values, label=name, linewidth=1.2)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set(xlabel="optimizer steps", title=title)
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
