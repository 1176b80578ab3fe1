"""Figure 2 of SGPO: p, q and p q over the iterations, closed form and sampled training; below, SGPO - GRPO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from raysgpo.studies.theory.dynamics import Curve, Float_K

STYLES = {"sgpo": ("#1f77b4", "-", "o"), "grpo": ("#d62728", "--", "s")}
"""Method to color, line of the closed form, mark of the sampled training."""
PANELS = {
    "p_K": "$p$: step 1 is right",
    "q_K": "$q$: step 2 is right, after a right step 1",
    "pq_K": "$p\\,q$: the answer is right",
}
MARKS = 20
"""Sampled iterations shown of each curve."""


def draw(path: Path, exact: Mapping[str, Curve], sampled: Mapping[str, Curve]) -> None:
    """Write the picture to ``path``; both mappings are from method to curve, all of one length."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(11, 5.7), layout="constrained")
    rows = figure.subplots(2, 3, sharex=True, sharey="row", height_ratios=[3, 1.4])
    for column, (name, title) in enumerate(PANELS.items()):
        curves, difference = rows[0, column], rows[1, column]
        closed = {method: getattr(exact[method], name) for method in STYLES}
        found = {method: getattr(sampled[method], name) for method in STYLES}
        for method, style in STYLES.items():
            _plot(curves, closed[method], found[method], method.upper(), style)
        _plot(difference, closed["sgpo"] - closed["grpo"], found["sgpo"] - found["grpo"], None, ("#444444", "-", "o"))
        difference.axhline(0, color="black", linewidth=0.8)
        curves.set(title=title, ylim=(0.2, 1.02))
        difference.set(xlabel="iteration")
    rows[0, 0].set_ylabel("probability")
    rows[1, 0].set_ylabel("SGPO $-$ GRPO")
    rows[0, 0].xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    figure.legend(*rows[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=150)


def _plot(axes: Axes, exact_K: Float_K, sampled_K: Float_K, label: str | None, style: tuple[str, str, str]) -> None:
    color, line, mark = style
    marks = slice(None, None, max(1, (len(sampled_K) - 1) // MARKS))
    axes.plot(range(len(exact_K)), exact_K, line, color=color, linewidth=1.8, label=label and f"{label}, closed form")
    axes.plot(
        range(len(sampled_K))[marks],
        sampled_K[marks],
        mark,
        color=color,
        markersize=4.5,
        markerfacecolor="white",
        label=label and f"{label}, sampled groups",
    )
    axes.grid(alpha=0.3)
