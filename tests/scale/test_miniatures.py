"""One recipe of each paper in miniature, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.command.miniature import STEPS
from raysgpo.config.overrides import load, resolve
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
    if recipe == "g2rpo_a_8b":
        check_guided_from_easy_to_hard(run)


def check_guided_from_easy_to_hard(run: RunFolder) -> None:
    config, groups, steps = resolve(load(run.config)), list(read_rows(run.groups)), list(read_rows(run.metrics))
    tiers = [config.curriculum.tiers.index(group["metadata"]["source"]) for group in groups]
    assert len(groups) == 8 * STEPS and tiers == sorted(tiers)
    given = [[rollout["guidance_tokens"] > 0 for rollout in group["rollouts"]] for group in groups]
    one, none = [True, *[False] * 6], [False] * 7
    assert all(group in (one, none) for group in given) and given.count(one) >= 6 * STEPS, "few have nothing to give"
    difficulties = [step["curriculum/difficulty"] for step in steps]
    assert difficulties == sorted(difficulties) and difficulties[0] == sum(tiers[:8]) / 8
    assert sum(value for name, value in steps[0].items() if name.startswith("success/")) == pytest.approx(1)
