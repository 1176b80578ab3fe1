"""The picture at the end of a run: accuracy and all-negative share over the steps."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from raysgpo.run_folder import RunFolder, read_rows


def draw_curves(run: RunFolder) -> Path:
    """Writes ``curves.png`` from the run's own records and returns its path."""
    matplotlib.use("Agg")
    rows = list(read_rows(run.metrics))
    evaluations = list(read_rows(run.evaluations))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    steps = [row["step"] + 1 for row in rows]
    axes.plot(steps, [row["accuracy/mean"] for row in rows], color="#1f77b4", label="accuracy of the samples")
    axes.plot(
        steps,
        [row["groups/all_negative_share"] for row in rows],
        color="#d62728",
        label="groups in which every answer is wrong",
    )
    axes.plot(
        [row["step"] for row in evaluations],
        [row["eval/accuracy"] for row in evaluations],
        "o-",
        color="#2ca02c",
        label="held-out accuracy (greedy)",
    )
    axes.set(xlabel="optimizer steps", ylabel="share", ylim=(-0.02, 1.02), title=run.path.name)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(run.curves, dpi=120)
    return run.curves
