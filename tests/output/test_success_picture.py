"""The histogram of success rates, drawn from a run's records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from raysgpo.output.json_lines import JsonLines
from raysgpo.output.metrics import SUCCESS
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.success_picture import draw_success

pytestmark = pytest.mark.slow


def test_the_bars_are_the_first_and_the_last_tenth_of_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, list[float]]] = []
    bar = Axes.bar

    def remembered(axes: Axes, x: Sequence[float], heights: Sequence[float], *a: Any, **named: Any) -> BarContainer:
        drawn.append((named["label"], list(heights)))
        return bar(axes, x, heights, *a, **named)

    monkeypatch.setattr(Axes, "bar", remembered)
    run = RunFolder.create(tmp_path, "run")
    metrics = JsonLines(run.metrics)
    for step in range(20):
        place = min(step // 3, 6)
        shares = {f"success/{name}": float(index == place) for index, name in enumerate(SUCCESS)}
        metrics.write({"step": step} | (shares if step else dict.fromkeys(shares)))
    metrics.close()
    assert draw_success(run) == run.path / "success.png"
    assert run.success.read_bytes().startswith(b"\x89PNG\r\n")
    assert drawn == [("first 2 steps", [1.0, *[0.0] * 6]), ("last 2 steps", [*[0.0] * 6, 1.0])]


def test_a_run_without_steps_gives_an_empty_picture(tmp_path: Path) -> None:
    assert draw_success(RunFolder.create(tmp_path, "run")).read_bytes().startswith(b"\x89PNG")
