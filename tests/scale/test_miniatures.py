"""One recipe of each paper in miniature, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.command.miniature import STEPS
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.full.conftest import ROOT, run_to_end

pytestmark = [pytest.mark.scale, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    ("job", "recipe"),
    [("train", "sgpo_7b"), ("train", "g2rpo_a_8b"), ("train", "corpo_qwen3_8b"), ("offline", "sgpo_offline_limo")],
)
def test_it_trains_to_its_end(job: str, recipe: str, tmp_path: Path) -> None:
    words = [recipe, "--miniature", f"storage={tmp_path / 'storage'}"]
    status, output = run_to_end(tmp_path / "elsewhere", str(ROOT / "jobs" / f"{job}.py"), *words)
    assert status == 0, output
    run = RunFolder(tmp_path / "storage" / "runs" / f"{recipe.replace('_', '-')}-miniature-001")
    steps, evaluations = list(read_rows(run.metrics)), list(read_rows(run.evaluations))
    assert len(steps) == STEPS if job == "train" else steps
    assert any(step["policy/loss"] is not None for step in steps), "something was learned from"
    assert [row["step"] for row in evaluations] == [0, len(steps)]
    assert run.export(len(steps)).is_dir()
