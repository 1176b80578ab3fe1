"""The pictures at the end of a run: accuracy and all-negative share; guidance; offline, loss and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from raysgpo.output.json_lines import Row, read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import writing


def draw_curves(run: RunFolder) -> Path:
    """Writes ``curves.png`` from the run's own records and returns its path."""
    matplotlib.use("Agg")
    rows = list(read_rows(run.metrics))
    evaluations = list(read_rows(run.evaluations))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    steps = [row["step"] + 1 for row in rows]
    name, label = _sampled(rows)
    axes.plot(steps, [row[name] for row in rows], color="#1f77b4", label=label)
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
    with writing(run.curves, 0):
        figure.savefig(run.curves, dpi=120)
    return run.curves


def _sampled(rows: Sequence[Row]) -> tuple[str, str]:
    """The accuracy that is the policy's own, and what it is called: without guidance that of all rollouts."""
    shares = {row.get("guidance/share") or 0 for row in rows}
    if not any(shares):
        return "accuracy/mean", "accuracy of the samples"
    if shares == {1}:
        return "accuracy/guided", "accuracy of the samples, all of them guided"
    return "accuracy/unguided", "accuracy of the unguided samples"


def draw_offline(run: RunFolder) -> Path:
    """Writes ``curves.png`` of an offline run: its loss, and held-out accuracy before and after."""
    matplotlib.use("Agg")
    rows = [row for row in read_rows(run.metrics) if row.get("policy/loss") is not None]
    evaluations = list(read_rows(run.evaluations))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([row["step"] + 1 for row in rows], [row["policy/loss"] for row in rows], color="#1f77b4", label="loss")
    axes.set(xlabel="optimizer steps", ylabel="loss", title=run.path.name)
    axes.grid(alpha=0.3)
    accuracy = axes.twinx()
    accuracy.plot(
        [row["step"] for row in evaluations],
        [row["eval/accuracy"] for row in evaluations],
        "o--",
        color="#2ca02c",
        label="held-out accuracy (greedy)",
    )
    accuracy.set(ylabel="share", ylim=(-0.02, 1.02))
    figure.legend(loc="outside upper right")
    with writing(run.curves, 0):
        figure.savefig(run.curves, dpi=120)
    return run.curves


GUIDANCE = (
    ("accuracy", {"accuracy/guided": "guided", "accuracy/unguided": "unguided", "accuracy/mean": "all"}),
    (
        "std of the advantages",
        {"advantage/std_guided": "guided", "advantage/std_unguided": "unguided", "advantage/std": "all"},
    ),
    ("guidance, tokens", {"guidance/length": "scheduled", "guidance/tokens": "given"}),
)
"""Panels of the guidance's picture: label to metric to its name there (G2RPO-A, arXiv 2508.13023, Figure 5)."""


def draw_guidance(run: RunFolder) -> Path | None:
    """Writes ``guidance.png`` and returns its path; None if no rollout of the run was guided."""
    matplotlib.use("Agg")
    rows = list(read_rows(run.metrics))
    if not any(row["guidance/share"] for row in rows):
        return None
    figure = Figure(figsize=(8, 9), layout="constrained")
    panels = figure.subplots(len(GUIDANCE), 1, sharex=True)
    steps = [row["step"] + 1 for row in rows]
    for axes, (label, lines) in zip(panels, GUIDANCE, strict=True):
        for metric, name in lines.items():
            axes.plot(steps, [row[metric] for row in rows], label=name)
        axes.set(ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    panels[0].set(title=run.path.name)
    panels[-1].set(xlabel="optimizer steps")
    with writing(run.guidance_curves, 0):
        figure.savefig(run.guidance_curves, dpi=120)
    return run.guidance_curves
