"""``python -m raysgpo.studies.spoiled_judge COMPARISON ... [--out FILE.png]``: what a judge's errors cost a training.

Reads the finished runs of comparisons (``jobs/compare.py``) on chained arithmetic that differ in ``judge.spoiled`` and
``judge.spoiled_as``, and shows their last held-out accuracy against the rate, a line a way of erring. Runs without
partial credit are the line below which a judge does harm. Beside it stands how many of the verdicts were wrong, by the
rule, in the run's own records: fewer than the rate where a first step has none before it, or a last one none after it.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from raysgpo.config.overrides import load, resolve
from raysgpo.judging.rule import first_wrong
from raysgpo.output.exit_status import DONE, WRONG_SETTING
from raysgpo.output.json_lines import Row, read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import writing
from raysgpo.records import Problem
from raysgpo.studies.comparison.figures import COLORS
from raysgpo.studies.comparison.runs import finished
from raysgpo.studies.judge_quality.quality import wilson
from raysgpo.tasks.arithmetic import split_lines

CLEAN, UNJUDGED = "clean", "no judge"
WAYS = {
    "random": "any other step",
    "early": "a step before the error",
    "late": "a step after the error",
    "none_found": "no error",
}
"""Each value of ``judge.spoiled_as`` as the legend says it."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The end of one run."""

    way: str
    """One of WAYS, CLEAN where nothing was spoiled, or UNJUDGED."""
    rate: float
    seed: int
    accuracy: float
    prompts: int
    wrong_verdicts: float | None
    """Share of the votes that the rule does not agree with; None where there is none."""


@dataclass(frozen=True, slots=True)
class Point:
    """The runs of one way and rate."""

    runs: tuple[Trained, ...]

    @property
    def accuracy(self) -> float:
        return fmean(run.accuracy for run in self.runs)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, of all their answers taken together: it says nothing of other seeds."""
        prompts = sum(run.prompts for run in self.runs)
        return wilson(round(sum(run.accuracy * run.prompts for run in self.runs)), prompts)

    @property
    def wrong_verdicts(self) -> float | None:
        known = [run.wrong_verdicts for run in self.runs if run.wrong_verdicts is not None]
        return fmean(known) if known else None


Points = dict[tuple[str, float], Point]


def read_points(comparisons: Sequence[Path]) -> Points:
    """The finished runs below these folders, by way and rate.

    Raises:
        ValueError: there is none.
    """
    found: dict[tuple[str, float], list[Trained]] = defaultdict(list)
    for folder in comparisons:
        for path in sorted(entry for entry in folder.glob("runs/*") if finished(entry)):
            run = read_run(RunFolder(path))
            found[run.way, run.rate].append(run)
    if not found:
        raise ValueError(f"{', '.join(map(str, comparisons))}: no finished run of a comparison there")
    return {key: Point(tuple(runs)) for key, runs in found.items()}


def read_run(run: RunFolder) -> Trained:
    config = resolve(load(run.config))
    *_, last = read_rows(run.evaluations)
    way = CLEAN if not config.judge.spoiled else config.judge.spoiled_as
    return Trained(
        way=way if config.needs_judge else UNJUDGED,
        rate=config.judge.spoiled if config.needs_judge else 0.0,
        seed=config.seed,
        accuracy=last["eval/accuracy"],
        prompts=last["eval/prompts"],
        wrong_verdicts=wrong_share(read_rows(run.groups)),
    )


def wrong_share(groups: Iterable[Row]) -> float | None:
    """Of the votes on chained arithmetic, worked again by the rule."""
    wrong = votes = 0
    for group in groups:
        problem = Problem(group["prompt_id"], group["prompt"], group["answer"], group["reference"])
        for rollout in group["rollouts"]:
            if rollout["votes"]:
                right = first_wrong(problem, split_lines(rollout["text"]))
                votes += len(rollout["votes"])
                wrong += sum(vote != right for vote in rollout["votes"])
    return wrong / votes if votes else None


def lines(points: Points) -> Iterator[str]:
    """A table for a person."""
    yield f"{'verdicts':<12}{'rate':>6}{'wrong':>8}{'accuracy':>10}  {'95 %':<14}{'by seed'}"
    order = [UNJUDGED, CLEAN, *WAYS]
    for (way, rate), point in sorted(points.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        wrong = "-" if point.wrong_verdicts is None else f"{100 * point.wrong_verdicts:.1f} %"
        low, high = point.interval
        interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
        seeds = ", ".join(
            f"{run.seed}: {100 * run.accuracy:.1f}" for run in sorted(point.runs, key=lambda run: run.seed)
        )
        yield f"{way:<12}{rate:>6g}{wrong:>8}{100 * point.accuracy:>8.1f} %  {interval:<14}{seeds}"


def curves(points: Points) -> dict[str, list[tuple[float, Point]]]:
    """Each way to its points by rate, the first of which is the clean one at 0."""
    clean = points.get((CLEAN, 0.0))
    start = [] if clean is None else [(0.0, clean)]
    by_way = {way: sorted((rate, point) for (one, rate), point in points.items() if one == way) for way in WAYS}
    return {way: [*start, *found] for way, found in by_way.items() if found}


def draw(points: Points, path: Path) -> None:
    """Accuracy by rate, a line a way; bars are 95 % intervals."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for colour, (way, found) in zip(COLORS, curves(points).items(), strict=False):
        rates, means = [rate for rate, _ in found], [point.accuracy for _, point in found]
        ends = [point.interval for _, point in found]
        bars = [
            [mean - low for mean, (low, _) in zip(means, ends, strict=True)],
            [high - mean for mean, (_, high) in zip(means, ends, strict=True)],
        ]
        axes.errorbar(rates, means, bars, fmt="o-", color=colour, capsize=3, markersize=4, label=WAYS[way])
    if (unjudged := points.get((UNJUDGED, 0.0))) is not None:
        axes.axhline(unjudged.accuracy, color="#555555", linestyle="--", linewidth=1.2, label="no judge (GRPO)")
    axes.set(xlabel="share of the verdicts that is spoiled", ylabel="held-out accuracy at the end")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9, title="a spoiled verdict names", title_fontsize=9)
    with writing(path, 0):
        figure.savefig(path, dpi=144)


def main() -> int:
    command = argparse.ArgumentParser(prog="python -m raysgpo.studies.spoiled_judge", description="See the module.")
    command.add_argument("comparisons", nargs="+", metavar="COMPARISON", type=Path, help="folder of jobs/compare.py")
    command.add_argument("--out", metavar="FILE.png", type=Path, help="draw the curve")
    arguments = command.parse_args()
    try:
        points = read_points(arguments.comparisons)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    print("\n".join(lines(points)))
    if arguments.out is not None:
        draw(points, arguments.out)
        print(f"curve: {arguments.out}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
