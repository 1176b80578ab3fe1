"""The curve of a spoiled judge, from run folders worked by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config.overrides import dump, resolve
from raysgpo.recipes.arithmetic import arithmetic
from raysgpo.studies.judge_quality.quality import wilson
from raysgpo.studies.spoiled_judge import curves, lines, main, read_points, wrong_share

PNG = b"\x89PNG\r\n\x1a\n"
GROUP = {"prompt_id": "arithmetic 3+4-2", "prompt": "3+4-2=?", "answer": "5", "reference": "3+4=7\n7-2=5\n#### 5"}
WRONG = "3+4=7\n7-2=6\n#### 6"
"""Its second step is wrong."""


def made(folder: Path, name: str, accuracy: float, *words: str, votes: list[Any], is_finished: bool = True) -> None:
    run = folder / "runs" / name
    run.mkdir(parents=True)
    run.joinpath("config.yaml").write_text(dump(resolve(arithmetic(), overrides=["judge=rule", *words])))
    evaluations = [
        {"step": step, "eval/accuracy": value, "eval/prompts": 8} for step, value in ((0, 0.125), (60, accuracy))
    ]
    run.joinpath("evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in evaluations))
    row = {
        "step": 0,
        **GROUP,
        "rollouts": [{"text": WRONG, "votes": [vote] if vote is not None else []} for vote in votes],
    }
    run.joinpath("groups.jsonl").write_text(json.dumps(row) + "\n")
    if is_finished:
        run.joinpath("finished").touch()


@pytest.fixture
def comparisons(tmp_path: Path) -> list[Path]:
    one, two = tmp_path / "one", tmp_path / "two"
    made(one, "clean-seed0", 0.75, votes=[1, 1])
    made(one, "grpo-seed0", 0.5, "algorithm=grpo", votes=[None, None])
    made(one, "late-seed0", 0.25, "judge.spoiled=0.5", "judge.spoiled_as=late", votes=[1, 2, 2, 1])
    made(one, "early-seed0", 1.0, "judge.spoiled=0.1", "judge.spoiled_as=early", votes=[0], is_finished=False)
    made(two, "late-seed1", 0.5, "judge.spoiled=0.5", "judge.spoiled_as=late", "seed=1", votes=[2, 1, 1, 1])
    return [one, two]


def test_the_points_are_those_worked_by_hand(comparisons: list[Path]) -> None:
    points = read_points(comparisons)
    assert set(points) == {("clean", 0.0), ("no judge", 0.0), ("late", 0.5)}, "an unfinished run says nothing"
    late = points["late", 0.5]
    assert (late.accuracy, late.wrong_verdicts, late.interval) == (0.375, 0.375, wilson(6, 16))
    assert points["clean", 0.0].wrong_verdicts == 0 and points["no judge", 0.0].wrong_verdicts is None
    shown = [line.split() for line in lines(points)]
    assert [line[0] for line in shown] == ["verdicts", "no", "clean", "late"]
    assert shown[-1][1:5] == ["0.5", "37.5", "%", "37.5"] and shown[-1][-4:] == ["0:", "25.0,", "1:", "50.0"]


def test_each_way_starts_at_the_clean_judge(comparisons: list[Path]) -> None:
    points = read_points(comparisons)
    assert {way: [rate for rate, _ in found] for way, found in curves(points).items()} == {"late": [0.0, 0.5]}
    assert curves(points)["late"][0][1] is points["clean", 0.0]


def test_a_lost_vote_is_a_wrong_one_and_no_vote_is_none() -> None:
    rollouts = [{"text": WRONG, "votes": [None, 1]}, {"text": WRONG, "votes": []}]
    assert wrong_share([{**GROUP, "rollouts": rollouts}]) == 0.5
    assert wrong_share([{**GROUP, "rollouts": rollouts[1:]}]) is None


def test_the_command_draws_and_names_a_folder_without_runs(
    comparisons: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "curve.png"
    monkeypatch.setattr(sys, "argv", ["spoiled_judge", *map(str, comparisons), "--out", str(picture)])
    assert main() == 0 and "37.5 %" in capsys.readouterr().out
    assert picture.read_bytes().startswith(PNG)
    monkeypatch.setattr(sys, "argv", ["spoiled_judge", str(tmp_path / "none")])
    assert main() == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: no finished run of a comparison there\n"
