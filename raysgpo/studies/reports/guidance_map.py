"""G2RPO-A's map: accuracy over the length of the guidance and the share of guided answers, alpha (its table 1)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from matplotlib.ticker import PercentFormatter

from raysgpo.studies.page.pictures import Picture, canvas, png
from raysgpo.studies.papers.tables import PaperTable
from raysgpo.studies.reports.document import Entry, Section, Table
from raysgpo.studies.reports.trained import Training, setting

Place = tuple[int, float]
"""Length and alpha."""


def map_section(training: Training, paper: PaperTable | None) -> Section | None:
    """None unless methods have two lengths and two shares of a fixed guidance, or of one that falls alike."""
    places = guided_places(training)
    lengths, ratios = ({place[axis] for place in places} for axis in (0, 1))
    accuracy = {place: value for place, name in places.items() if (value := mean_accuracy(training, name)) is not None}
    if len(lengths) < 2 or len(ratios) < 2 or not accuracy:
        return None
    plain = [name for name, settings in training.settings.items() if setting(settings, "guidance.schedule") == "none"]
    without = mean_accuracy(training, plain[0]) if plain else None
    printed = {place: value for place, name in places.items() if (value := _printed(paper, name)) is not None}
    table = _table(accuracy, printed, without)
    return Section("The map of guidance length and alpha", (table, _draw(accuracy, without)))


def guided_places(training: Training) -> dict[Place, str]:
    """Length and alpha to the method that has them; none where two have the same, which something else tells apart."""
    places: dict[Place, str] = {}
    for name, settings in training.settings.items():
        length = setting(settings, "guidance.length")
        if setting(settings, "guidance.schedule") == "none" or length is None:
            continue
        place = (length, setting(settings, "guidance.ratio"))
        if place in places:
            return {}
        places[place] = name
    return places


def mean_accuracy(training: Training, method: str) -> float | None:
    """Of the last evaluations of its runs."""
    found = [list(run.records.evaluated.values())[-1] for run in training.methods[method] if run.records.evaluated]
    return statistics.fmean(found) if found else None


def shown_ratio(ratio: float) -> str:
    """``5/6`` for 0.8333: the share of a group, as the paper writes it."""
    near = Fraction(ratio).limit_denominator(16)
    return str(near) if abs(float(near) - ratio) < 5e-3 else f"{ratio:g}"


def _printed(paper: PaperTable | None, name: str) -> float | None:
    row = paper.row(name) if paper is not None and len(paper.columns) == 1 else None
    return row.values[next(iter(row.values))] if row is not None else None


def _table(accuracy: Mapping[Place, float], printed: Mapping[Place, float], without: float | None) -> Table:
    lengths, ratios = sorted({place[0] for place in accuracy}), sorted({place[1] for place in accuracy})
    highest = max(accuracy.values())

    def entry(place: Place) -> Entry:
        if place not in accuracy:
            return Entry()
        paper = f"the paper {printed[place]:.1f}" if place in printed else ""
        return Entry(f"{100 * accuracy[place]:.1f}", paper, "best" if accuracy[place] == highest else "")

    rows = tuple((Entry(f"{length} tokens"), *(entry((length, ratio)) for ratio in ratios)) for length in lengths)
    notes = ["Percent of the held-out prompts at the end, mean over seeds."]
    if without is not None:
        notes.append(f"Without guidance: {100 * without:.1f}.")
    return Table(("guidance length", *(f"alpha = {shown_ratio(ratio)}" for ratio in ratios)), rows, tuple(notes))


def _draw(accuracy: Mapping[Place, float], without: float | None) -> Picture:
    """Redder than white is better than no guidance, bluer worse; without such a run the middle of all is white."""
    lengths, ratios = sorted({place[0] for place in accuracy}), sorted({place[1] for place in accuracy})
    values = np.array([[accuracy.get((length, ratio), np.nan) for ratio in ratios] for length in lengths])
    middle = without if without is not None else float(np.nanmean(values))
    reach = max(float(np.nanmax(np.abs(values - middle))), 0.01)
    figure, axes = canvas(width=1.15 * len(ratios) + 2.4, height=0.62 * len(lengths) + 1.5)
    axes.grid(visible=False)
    image = axes.imshow(values, cmap="RdBu_r", vmin=middle - reach, vmax=middle + reach, aspect="auto")
    for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
        dark = abs(values[row, column] - middle) > 0.7 * reach
        text = f"{100 * values[row, column]:.1f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "#1d2430", fontsize=10)
    axes.set_xticks(range(len(ratios)), [shown_ratio(ratio) for ratio in ratios])
    axes.set_yticks(range(len(lengths)), [str(length) for length in lengths])
    axes.set(xlabel="alpha, the share of guided answers", ylabel="guidance length, tokens")
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1.0))
    bar.outline.set_visible(False)
    what = "White is the accuracy without guidance." if without is not None else "White is the mean of the map."
    return Picture("Held-out accuracy by guidance length and alpha", what, png(figure))
