"""The pictures of a report: PNG bytes, a mean line a variant with a band of one standard deviation over seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.comparison.results import Floats, RunRecords
from raysgpo.studies.comparison.summary import Json, of_variant
from raysgpo.studies.page.pictures import COLORS, STYLES, Picture, canvas, png

MANY = 6
"""Variants beyond which their names stand beside a picture, which is wider then."""

Curve = Callable[[RunRecords], tuple[Sequence[float], Sequence[float] | Floats]]
"""x and y of one run."""


def draw_all(plan: Plan, runs: Sequence[RunRecords], summary: Json) -> list[Picture]:
    """Every picture that the records have something for."""
    names = [variant.name for variant in plan.variants]
    target, steps, ends = summary["target"], "optimizer steps", judging_ends
    pictures = [
        curves(names, runs, "Held-out accuracy", accuracy, steps, share=True, target=target, points=True, ends=ends),
        _differences(plan, summary),
        curves(names, runs, "Held-out accuracy by time", _accuracy_by_time, "seconds of training", share=True),
        *(
            curves(names, runs, title, metric(name), steps, share=share, caption=caption, ends=ends)
            for title, name, share, caption in METRICS
        ),
        curves(names, runs, "Groups with gradient per 1,000 sampled tokens", _efficiency, steps, ends=ends),
        curves(names, runs, "pass@k on held-out prompts", _coverage, "k", share=True, points=True),
    ]
    return [picture for picture in pictures if picture is not None]


METRICS = (
    ("Accuracy of unguided samples", "accuracy/unguided", True, "Rollouts of the training that got no guidance."),
    ("Accuracy of guided samples", "accuracy/guided", True, "Rollouts that began with guidance."),
    ("Guidance", "guidance/tokens", False, "Tokens given to a guided rollout."),
    ("Spread of the advantages", "advantage/std", False, "Standard deviation over all rollouts."),
    ("All-negative groups", "groups/all_negative_share", True, "Groups in which every answer is wrong."),
    ("Reasoning Trajectory Score", "judge/rts_mean", True, "Mean RTS of the judged rollouts."),
    ("Entropy of all answers", "entropy/sampled", False, "Nats: minus the mean logprob of the sampled tokens."),
    (
        "Entropy of what was trained on",
        "policy/entropy",
        False,
        "Nats, at the sampled tokens of the groups with a gradient; variants that drop other groups show other tokens.",
    ),
    ("Clipped tokens", "policy/clip_share", True, "Tokens whose ratio the clip, or the truncation, cut."),
    (
        "Training problems ever solved",
        "train/problems_solved_ever",
        False,
        "Answered right at least once, without guidance.",
    ),
    ("Truncated failures", "failures/truncated_share", True, "Rollouts that are wrong and cut off by the limit."),
    ("Logical failures", "failures/finished_share", True, "Rollouts that ended by themselves and are wrong."),
)


def accuracy(run: RunRecords) -> tuple[Sequence[float], Sequence[float]]:
    return list(run.evaluated), list(run.evaluated.values())


def judging_ends(run: RunRecords) -> float | None:
    return run.judging_ends


def _accuracy_by_time(run: RunRecords) -> tuple[Sequence[float], Sequence[float]]:
    return [run.seconds_at(step) for step in run.evaluated], list(run.evaluated.values())


def metric(name: str) -> Curve:
    return lambda run: (run.x, run.values(name))


def _efficiency(run: RunRecords) -> tuple[Sequence[float], Floats]:
    tokens = run.values("tokens/sampled")
    return run.x, 1000 * run.values("groups/trained") / np.where(tokens > 0, tokens, np.nan)


def _coverage(run: RunRecords) -> tuple[Sequence[float], Sequence[float]]:
    curve = {float(name.removeprefix("pass@")): value for name, value in run.coverage().items() if value is not None}
    return list(curve), list(curve.values())


def curves(
    names: Sequence[str],
    runs: Sequence[RunRecords],
    title: str,
    curve: Curve,
    x: str,
    *,
    share: bool = False,
    target: float | None = None,
    points: bool = False,
    ends: Callable[[RunRecords], float | None] | None = None,
    caption: str = "",
) -> Picture | None:
    """One line a variant; None if no run has a value. ``ends``: where on the axis the judging of a run ends."""
    many = len(names) > MANY
    figure, axes = canvas(x, width=10.4 if many else 6.4)
    drawn = False
    for index, name in enumerate(names):
        found = [(list(xs), np.asarray(ys, dtype=np.float64)) for xs, ys in map(curve, of_variant(name, runs))]
        found = [(xs, ys) for xs, ys in found if len(xs) and not np.isnan(ys).all()]
        if not found:
            continue
        drawn = True
        grid, mean, std = _mean_curve(found)
        color, style = COLORS[index % len(COLORS)], STYLES[index // len(COLORS) % len(STYLES)]
        axes.plot(grid, mean, style, color=color, label=name, marker="o" if points else None, markersize=4)
        low, high = mean - std, mean + std
        if share:
            low, high = low.clip(0, 1), high.clip(0, 1)
        axes.fill_between(grid, low, high, color=color, alpha=0.18, linewidth=0)
        marked = {ends(run) for run in of_variant(name, runs)} if ends is not None else set()
        for end in sorted(end for end in marked if end is not None):
            _mark(axes, end, color)
    if not drawn:
        return None
    if target is not None:
        _draw_target(axes, target)
    if share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if many:
        figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    else:
        axes.legend(frameon=False, fontsize=9)
    return Picture(title, caption, png(figure))


def _mark(axes: Axes, end: float, color: str) -> None:
    """A dotted line where judging ends."""
    axes.axvline(end, color=color, linestyle=":", linewidth=1.2)
    axes.annotate(
        "judging ends",
        (end, 1),
        xycoords=("data", "axes fraction"),
        fontsize=8,
        color=color,
        rotation=90,
        va="top",
        ha="right",
        xytext=(-2, -4),
        textcoords="offset points",
    )


def _draw_target(axes: Axes, target: float) -> None:
    axes.axhline(target, color="#777777", linestyle="--", linewidth=1)
    axes.annotate(
        f"target {100 * target:.0f} %",
        (1, target),
        xycoords=("axes fraction", "data"),
        fontsize=8,
        color="#555555",
        ha="right",
        va="bottom",
        xytext=(-3, 2),
        textcoords="offset points",
    )


def _mean_curve(curves: Sequence[tuple[list[float], Floats]]) -> tuple[Floats, Floats, Floats]:
    """Mean and standard deviation (0 of one seed) over runs: at the points that all have, else, where the points lie
    differently in every run (seconds), at those of the first, linear between them, as far as all of them go."""
    shared = sorted(set.intersection(*(set(xs) for xs, _ in curves)))
    if len(shared) < 2 and max(len(xs) for xs, _ in curves) > 1:
        low, high = max(xs[0] for xs, _ in curves), min(xs[-1] for xs, _ in curves)
        shared = [low, *(x for x in curves[0][0] if low < x < high), high]
    values = np.array([np.interp(shared, xs, ys) for xs, ys in curves])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a point that is NaN in every run stays NaN
        mean = np.nanmean(values, axis=0)
        std = np.nanstd(values, axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(shared))
    return np.array(shared, dtype=np.float64), mean, np.nan_to_num(std)


def _differences(plan: Plan, summary: Json) -> Picture | None:
    """Difference of held-out accuracy to the first variant at each evaluation, with its interval."""
    figure, axes = canvas("optimizer steps")
    known = {name: pair for name, pair in summary["paired"].items() if pair["reason"] is None}
    if not known:
        return None
    axes.axhline(0, color="#333333", linewidth=1)
    width = max(max(pair["steps"]) for pair in known.values())
    for index, variant in enumerate(plan.variants):
        if (pair := known.get(variant.name)) is None:
            continue
        rows: list[dict[str, Any]] = pair["accuracy"]
        middle = np.array([row["difference"] for row in rows])
        errors = np.abs([[row["low"] for row in rows] - middle, [row["high"] for row in rows] - middle])
        steps = np.array(pair["steps"]) + width * 0.006 * (index - 1)  # beside one another
        axes.errorbar(
            steps,
            middle,
            errors,
            fmt="o-",
            color=COLORS[index % len(COLORS)],
            capsize=3,
            markersize=4,
            linewidth=1.2,
            label=variant.name,
        )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False, fontsize=9)
    title = f"Difference of held-out accuracy to {plan.variants[0].name}"
    return Picture(title, "Percentage points, 95 % paired bootstrap intervals.", png(figure))
