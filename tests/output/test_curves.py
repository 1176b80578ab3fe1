"""The picture at the end of a run, drawn from its records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from raysgpo.output.curves import draw_curves, draw_guidance, draw_offline
from raysgpo.output.json_lines import JsonLines
from raysgpo.output.run_folder import RunFolder

pytestmark = pytest.mark.slow


def record(run: RunFolder) -> None:
    metrics, evaluations = JsonLines(run.metrics), JsonLines(run.evaluations)
    for step, accuracy in enumerate([0.25, None, 0.75]):
        loss = None if accuracy is None else -accuracy
        metrics.write({"step": step, "accuracy/mean": accuracy, "groups/all_negative_share": 0.5, "policy/loss": loss})
    for step in (0, 3):
        evaluations.write({"step": step, "eval/accuracy": 0.1 * (step + 1)})
    metrics.close()
    evaluations.close()


Drawn = list[tuple[list[int], list[float | None]]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Every line of the pictures."""
    drawn: Drawn = []
    plot = Axes.plot

    def remembered(axes: Axes, x: Sequence[int], y: Sequence[Any], *words: Any, **named: Any) -> list[Line2D]:
        drawn.append((list(x), list(y)))
        return plot(axes, x, y, *words, **named)

    monkeypatch.setattr(Axes, "plot", remembered)
    return drawn


def test_the_picture_shows_the_recorded_values(tmp_path: Path, drawn: Drawn) -> None:
    run = RunFolder.create(tmp_path, "run")
    record(run)
    path = draw_curves(run)
    assert path == run.path / "curves.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n") and path.stat().st_size > 5000
    # A step's numbers stand where the step ends, as an evaluation's do.
    assert drawn == [([1, 2, 3], [0.25, None, 0.75]), ([1, 2, 3], [0.5] * 3), ([0, 3], [0.1, 0.4])]


def test_the_picture_of_an_offline_run_shows_loss_and_evaluations(tmp_path: Path, drawn: Drawn) -> None:
    """A step without an update has no loss."""
    run = RunFolder.create(tmp_path, "run")
    record(run)
    assert draw_offline(run).read_bytes().startswith(b"\x89PNG\r\n")
    assert drawn == [([1, 3], [-0.25, -0.75]), ([0, 3], [0.1, 0.4])]


def test_a_run_without_steps_gives_an_empty_picture(tmp_path: Path, drawn: Drawn) -> None:
    run = RunFolder.create(tmp_path, "run")
    for draw in (draw_curves, draw_offline):
        assert draw(run).read_bytes().startswith(b"\x89PNG")
    assert [line for line in drawn if line != ([], [])] == []


NAMES = "accuracy/guided accuracy/unguided accuracy/mean advantage/std_guided advantage/std_unguided advantage/std"
NAMES += " guidance/length guidance/tokens"


def guided_run(tmp_path: Path, share: float) -> RunFolder:
    run = RunFolder.create(tmp_path, "run")
    metrics = JsonLines(run.metrics)
    for step in range(3):
        row = {name: step + place / 10 for place, name in enumerate(NAMES.split())}
        metrics.write({"step": step, **row, "guidance/share": share, "groups/all_negative_share": 0.5})
    metrics.close()
    return run


def test_a_guided_run_has_the_curves_of_figure_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[float]] = []
    plot = Axes.plot

    def remembered(axes: Axes, x: Sequence[int], y: Sequence[float], *words: Any, **named: Any) -> list[Line2D]:
        drawn.append([*x, *y])
        return plot(axes, x, y, *words, **named)

    monkeypatch.setattr(Axes, "plot", remembered)
    run = guided_run(tmp_path, share=0.25)
    path = draw_guidance(run)
    assert path == run.path / "guidance.png" and path.read_bytes().startswith(b"\x89PNG\r\n")
    assert drawn == [[1, 2, 3, *(step + place / 10 for step in range(3))] for place in range(8)]


@pytest.mark.parametrize(
    ("share", "metric", "label"),
    [
        (0.25, "accuracy/unguided", "accuracy of the unguided samples"),
        (1, "accuracy/guided", "accuracy of the samples, all of them guided"),
        (0, "accuracy/mean", "accuracy of the samples"),
    ],
)
def test_the_curve_of_a_guided_run_is_that_of_the_policy_alone(
    share: float, metric: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[float]] = {}
    plot = Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda self, x, y, *a, **k: (drawn.update({k["label"]: list(y)}), plot(self, x, y, *a, **k))[1]
    )
    draw_curves(guided_run(tmp_path, share))
    assert drawn[label] == [step + NAMES.split().index(metric) / 10 for step in range(3)]


def test_a_run_without_guidance_has_none(tmp_path: Path) -> None:
    run = guided_run(tmp_path, share=0)
    assert draw_guidance(run) is None and not run.guidance_curves.exists()
