"""Bars with their spread: methods beside one another, set by set, and the paper's value as a mark in each bar."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from raysgpo.studies.page.pictures import COLORS, Picture, canvas, png
from raysgpo.studies.papers.tables import PaperTable
from raysgpo.studies.reports.beside import columns_of
from raysgpo.studies.reports.scores import Score, Scores

ROOM = 0.8
"""Of the distance between two sets: what the bars take."""
CAPTION = "Whiskers are 95 % bootstrap intervals over questions, or one standard deviation over several models."


def draw_bars(scores: Scores, title: str, paper: PaperTable | None = None, caption: str = CAPTION) -> Picture | None:
    """Of one column a bar a line, else a group of bars a column; None where there is no score. ``paper``: a diamond
    stands at its value."""
    columns = {title: own for title, own in columns_of(scores, paper).items() if own is not None}
    if not any(scores.methods.values()):
        return None
    if len(columns) == 1:
        [(printed, own)] = columns.items()
        figure = _lines(scores, own, {name: _printed(paper, name, printed) for name in scores.methods})
    else:
        figure = _groups(scores, columns, paper)
    return Picture(title, caption, png(figure))


def _lines(scores: Scores, column: str, printed: dict[str, float | None]) -> Figure:
    names = list(scores.methods)
    figure, axes = canvas(height=1.0 + 0.34 * len(names))
    axes.grid(visible=False)
    axes.grid(alpha=0.25, axis="x")
    found = [scores.of(name, column) for name in names]
    places = range(len(names))
    axes.barh(places, _values(found), ROOM, color=[_color(n) for n in places])
    axes.errorbar(_values(found), places, xerr=_whiskers(found), fmt="none", ecolor="#333333", capsize=2.5, linewidth=1)
    _diamonds(axes, [(value, place) for place, name in enumerate(names) if (value := printed[name]) is not None])
    axes.set_yticks(places, names, fontsize=9)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(left=0)
    if any(value is not None for value in printed.values()):
        figure.legend(frameon=False, fontsize=9, loc="outside upper right")
    return figure


def _groups(scores: Scores, columns: dict[str, str], paper: PaperTable | None) -> Figure:
    bars, sets = len(scores.methods), len(columns)
    width = ROOM / bars
    size = min(max(6.4, 0.28 * bars * sets + 2.4), 16)
    figure, axes = canvas(width=size)
    printed: list[tuple[float, float]] = []
    for index, name in enumerate(scores.methods):
        places = [place + (index - (bars - 1) / 2) * width for place in range(sets)]
        found = [scores.of(name, own) for own in columns.values()]
        axes.bar(places, _values(found), width * 0.92, label=name, color=_color(index))
        axes.errorbar(places, _values(found), _whiskers(found), fmt="none", ecolor="#333333", capsize=2.5, linewidth=1)
        marks = zip(places, (_printed(paper, name, title) for title in columns), strict=True)
        printed += [(place, value) for place, value in marks if value is not None]
    _diamonds(axes, printed)
    crowded = sum(map(len, columns)) > 8 * size
    axes.set_xticks(range(sets), list(columns), rotation=20 if crowded else 0, ha="right" if crowded else "center")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)
    longest = max(map(len, scores.methods))
    figure.legend(frameon=False, fontsize=9, ncols=max(1, int(size * 11 / (longest + 7))), loc="outside upper center")
    return figure


def _diamonds(axes: Axes, places: Sequence[tuple[float, float]]) -> None:
    if places:
        axes.plot(*zip(*places, strict=True), "D", color="#111111", markerfacecolor="white", label="the paper")


def _values(found: Sequence[Score | None]) -> list[float]:
    return [score.value if score is not None else math.nan for score in found]


def _whiskers(found: Sequence[Score | None]) -> list[list[float]]:
    """Below and above each."""
    reach = [score.reach if score is not None else (0.0, 0.0) for score in found]
    return [[low for low, _ in reach], [high for _, high in reach]]


def _color(index: int) -> str:
    return COLORS[index % len(COLORS)]


def _printed(paper: PaperTable | None, method: str, column: str) -> float | None:
    """The paper's value as a share."""
    row = paper.row(method) if paper is not None else None
    value = row.values.get(column) if row is not None else None
    return None if value is None else value / 100
