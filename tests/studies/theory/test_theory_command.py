"""``python -m raysgpo.studies.theory``: what it prints, what it draws and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from raysgpo.studies.theory import __main__ as command
from raysgpo.studies.theory import dynamics
from raysgpo.studies.theory.dynamics import MOVES, Curve, closed_form
from raysgpo.studies.theory.figure import draw

pytestmark = pytest.mark.slow

SMALL = ["--steps", "10", "--theorem-steps", "500", "--groups", "20000", "--groups-per-step", "100"]


def test_a_run_prints_the_numbers_and_leaves_the_figure_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(SMALL) == 0
    out = capsys.readouterr().out
    assert "0.562177 0.531209   0.515620 0.531209" in out
    assert "p SGPO > p GRPO: true in 500 of 500" in out
    assert "p q SGPO > p q GRPO: true in 500 of 500" in out
    assert "q SGPO > q GRPO: true in 0 of 500" in out
    assert "with 200 groups" in out and "with 2,000 groups" in out and "with 20,000 groups" in out
    assert out.endswith(f"figure: {tmp_path / 'theory.png'}\n")
    assert (tmp_path / "theory.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_the_figure_shows_p_q_and_pq_of_both_methods_and_their_differences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[float]] = []
    plot = Axes.plot

    def remembered(axes: Axes, x: Sequence[int], y: Sequence[float], *words: Any, **named: Any) -> list[Line2D]:
        drawn.append(list(y))
        return plot(axes, x, y, *words, **named)

    monkeypatch.setattr(Axes, "plot", remembered)
    exact = {method: Curve.of(closed_form(method), 40) for method in MOVES}
    sampled = {method: Curve(curve.p_K / 2, curve.q_K / 2) for method, curve in exact.items()}
    draw(tmp_path / "theory.png", exact, sampled)
    assert len(drawn) == 3 * 3 * 2
    sgpo, grpo = exact["sgpo"], exact["grpo"]
    for start, one, two in ((0, sgpo.p_K, grpo.p_K), (6, sgpo.q_K, grpo.q_K), (12, sgpo.pq_K, grpo.pq_K)):
        share = 0.25 if start == 12 else 0.5
        shown = [one, share * one[::2], two, share * two[::2], one - two, share * (one - two)[::2]]
        for found, expected in zip(drawn[start : start + 6], shown, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_seed_decides_what_is_sampled() -> None:
    one, again, other = (list(command.gradient_lines(2000, seed)) for seed in (1, 1, 2))
    assert one == again != other and len(one) == 1 + 2 * len(command.POINTS) + 1


def test_a_theorem_that_does_not_hold_is_the_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "MOVES", {"sgpo": MOVES["grpo"], "grpo": MOVES["grpo"]})
    assert command.main([*SMALL, "--out", str(tmp_path / "equal.png")]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "argument --steps: '0': give a whole number of 1 or more"),
        (["--groups", "10"], "argument --groups: '10': give a whole number of 1,000 or more"),
        (["--seed", "-1"], "argument --seed: '-1'"),
        (["--theorem-steps", "many"], "argument --theorem-steps: 'many'"),
        (["--out", "nowhere/theory.png"], "nowhere: No such file or directory"),
        (["--out", "theory.doc"], "argument --out: 'theory.doc': give a file that ends in .png, .svg, .pdf"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_computed(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    captured = capsys.readouterr()
    assert ended.value.code == 2 and message in captured.err and not captured.out
