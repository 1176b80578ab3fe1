"""Figures 1 and 2 of CoRPO, drawn from the records of runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from raysgpo.output.advantage_picture import draw_advantages, slice_shares
from raysgpo.output.json_lines import JsonLines
from raysgpo.output.run_folder import RunFolder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def row(step: int, **values: float | None) -> dict[str, Any]:
    shares = {"right_positive": 0.2, "right_negative": 0.0, "wrong_positive": 0.1, "wrong_negative": 0.4}
    named = {f"advantage/{name}_share": value for name, value in shares.items()}
    return {"step": step, **named, **{f"advantage/{name}": value for name, value in values.items()}}


def record(run: RunFolder, rows: list[dict[str, Any]]) -> None:
    run.config.write_text("{}")
    metrics = JsonLines(run.metrics)
    for line in rows:
        metrics.write(line)
    metrics.close()


def test_the_slices_of_figure_1_are_the_whole() -> None:
    rows = [row(0), row(1, wrong_positive_share=0.3), {"step": 2, "advantage/right_positive_share": None}]
    shares = slice_shares(rows)
    assert shares == pytest.approx(
        {"right_positive": 0.2, "right_negative": 0, "zero": 0.2, "wrong_negative": 0.4, "wrong_positive": 0.2}
    )
    assert list(shares) == ["right_positive", "right_negative", "zero", "wrong_negative", "wrong_positive"]
    assert set(slice_shares([{"step": 0}]).values()) == {0.0}, "a run from before the numbers were recorded"


def test_the_picture_shows_the_recorded_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[list[float], list[float]]] = []
    plot = Axes.plot

    def remembered(axes: Axes, x: Sequence[float], y: Sequence[float], *words: Any, **named: Any) -> list[Line2D]:
        drawn.append((list(x), list(y)))
        return plot(axes, x, y, *words, **named)

    monkeypatch.setattr(Axes, "plot", remembered)
    runs = [RunFolder.create(tmp_path, name) for name in ("grpo", "corpo")]
    record(runs[0], [row(0, r_count=0.5, r_loss=0.4), row(1, r_count=None, r_loss=2.0)])
    record(runs[1], [row(0, r_count=0.0, r_loss=None)])
    path = draw_advantages(runs, tmp_path / "both.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n") and path.stat().st_size > 5000
    nan = float("nan")
    expected = [([1, 2], [0.5, nan]), ([1], [nan]), ([1, 2], [0.4, 2.0]), ([1], [nan])]
    for (x, y), (steps, values) in zip(drawn, expected, strict=True):
        assert x == steps and y == pytest.approx(values, nan_ok=True)


def test_the_command_draws_any_runs_and_names_one_that_is_not_there(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "run")
    record(run, [row(0, r_count=1.0)])
    command = [sys.executable, "jobs/advantages.py", "--storage", str(tmp_path)]
    done = subprocess.run([*command, "run-001"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, str(run.advantages)), done.stderr
    assert run.advantages.is_file()
    wrong = subprocess.run([*command, "run-007"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert wrong.returncode == 2 and "run-007: no run there" in wrong.stderr
