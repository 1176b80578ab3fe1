"""What the pictures of all reports share: size, colours, and how they become PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, apart for colour-blind eyes too."""
STYLES = ("-", "--", "-.", ":")
DPI = 144
WIDE = 7.0
"""Inches: two narrower pictures stand beside one another."""


@dataclass(frozen=True, slots=True)
class Picture:
    title: str
    caption: str
    png: bytes

    @property
    def wide(self) -> bool:
        """Whether it wants the whole width of a page: its pixels, as the head of a PNG says them."""
        return int.from_bytes(self.png[16:20], "big") > WIDE * DPI


def canvas(x: str = "", width: float = 6.4, height: float = 3.6) -> tuple[Figure, Axes]:
    """An empty picture. ``x``: what its horizontal axis is, in whole numbers; of none where it is empty."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25, axis="both" if x else "y")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if x:
        axes.set_xlabel(x)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return figure, axes


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, format="png")
    return buffer.getvalue()
