"""Bars with their spread: methods beside one another, set by set, and the paper's value as a mark in each bar."""

from __future__ import annotations

import math

from matplotlib.ticker import PercentFormatter

from raysgpo.studies.page.pictures import COLORS, Picture, canvas, png
from raysgpo.studies.papers.tables import PaperTable, same_set
from raysgpo.studies.reports.scores import Scores

ROOM = 0.8
"""Of the distance between two sets: what the bars take."""
CAPTION = "Whiskers are 95 % bootstrap intervals over questions, or one standard deviation over several models."


def draw_bars(scores: Scores, title: str, paper: PaperTable | None = None, caption: str = CAPTION) -> Picture | None:
    """None where there is no score. ``paper``: a diamond stands at its value."""
    if not any(scores.methods.values()):
        return None
    bars, sets = len(scores.methods), len(scores.columns)
    width = ROOM / bars
    figure, axes = canvas(width=min(max(6.4, 0.28 * bars * sets + 2.4), 18))
    printed: list[tuple[float, float]] = []
    for index, name in enumerate(scores.methods):
        places = [place + (index - (bars - 1) / 2) * width for place in range(sets)]
        found = [scores.of(name, column) for column in scores.columns]
        heights = [one.value if one is not None else math.nan for one in found]
        reach = [one.reach if one is not None else (0.0, 0.0) for one in found]
        whiskers = [[low for low, _ in reach], [high for _, high in reach]]
        look = {"color": COLORS[index % len(COLORS)], "hatch": "//" if index >= len(COLORS) else ""}
        axes.bar(places, heights, width * 0.92, label=name, edgecolor="white", linewidth=0.4, **look)
        axes.errorbar(places, heights, whiskers, fmt="none", ecolor="#333333", capsize=2.5, linewidth=1)
        printed += [
            (place, value / 100)
            for place, column in zip(places, scores.columns, strict=True)
            if (value := _printed(paper, name, column)) is not None
        ]
    if printed:
        axes.plot(*zip(*printed, strict=True), "D", color="#111111", markerfacecolor="white", label="the paper")
    crowded = sum(map(len, scores.columns)) > 60
    axes.set_xticks(
        range(sets), list(scores.columns), rotation=20 if crowded else 0, ha="right" if crowded else "center"
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, ncols=min(bars + 1, 4), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return Picture(title, caption, png(figure))


def _printed(paper: PaperTable | None, method: str, column: str) -> float | None:
    row = paper.row(method) if paper is not None else None
    if row is None:
        return None
    return next((value for name, value in row.values.items() if same_set(name) == same_set(column)), None)
