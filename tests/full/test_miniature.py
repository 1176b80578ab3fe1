"""A recipe of a paper in miniature, on the real stack. ``make scale`` runs one of each paper from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.command.configure import configure
from raysgpo.command.words import Words
from raysgpo.output.json_lines import read_rows
from raysgpo.recipes import RECIPES
from tests.full.conftest import trained_here

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


def test_guided_answers_go_from_easy_to_hard(ray_session: None, tiny: Path, tmp_path: Path) -> None:
    words = [f"model={tiny}", f"storage={tmp_path}", "steps=2", "rollout.kv_cache_gib=0.1"]
    config = configure(Words("g2rpo_a_8b", None, words, miniature=True), RECIPES)
    with trained_here(config) as run:
        pass
    groups, steps = list(read_rows(run.groups)), list(read_rows(run.metrics))
    assert len(groups) == 16 and run.path.name == "g2rpo-a-8b-miniature-001"
    tiers = [config.curriculum.tiers.index(group["metadata"]["source"]) for group in groups]
    assert tiers == sorted(tiers)
    given = [[rollout["guidance_tokens"] > 0 for rollout in group["rollouts"]] for group in groups]
    one, none = [True, *[False] * 6], [False] * 7
    assert all(group in (one, none) for group in given) and given.count(one) >= 12, "few have nothing to give"
    assert steps[0]["curriculum/difficulty"] == sum(tiers[:8]) / 8 <= steps[1]["curriculum/difficulty"]
    assert sum(value for name, value in steps[0].items() if name.startswith("success/")) == pytest.approx(1)
