"""The verifier task on the real stack, under CoRPO, with a policy that cannot rate yet.

All of its judgements earn the least reward. Under the mean baseline there would be nothing to learn from
such groups; here every one of them carries gradient, all of it downwards.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from raysgpo.config.overrides import resolve
from raysgpo.output.json_lines import read_rows
from raysgpo.tasks.ratings import pair_ratings
from tests.full.conftest import trained_here

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


def test_groups_that_failed_alike_teach_under_corpo(ray_session: None, small: list[str], tmp_path: Path) -> None:
    from raysgpo.recipes.arithmetic_verifier import arithmetic_verifier

    settings = [word for word in small if not word.startswith(("arithmetic", "judge"))]
    words = [f"storage={tmp_path}", "steps=2", "evaluation.every=2", "evaluation.samples=2", "task.singles=0"]
    config = resolve(arithmetic_verifier(), overrides=[*settings, *words])
    with trained_here(config) as run:
        pass
    steps, groups = list(read_rows(run.metrics)), list(read_rows(run.groups))
    assert len(steps) == 2 and len(groups) == 8
    for rollout in (rollout for group in groups for rollout in group["rollouts"]):
        assert pair_ratings(rollout["text"]) is None and rollout["readings"] == {}
        assert rollout["reward"] == pytest.approx(math.log(0.01))
        assert rollout["advantage"] == pytest.approx(math.log(0.01) - math.log(0.5))
    for step in steps:
        assert step["groups/trained"] == 4 and step["advantage/wrong_positive_share"] == 0
        assert step["readings/unread_share"] == 1
        assert step["policy/grad_norm"] > 0 and step["policy/skipped"] == 0
    last = list(read_rows(run.evaluations))[-1]
    assert last["eval/accuracy/first_correct"] is not None and last["eval/pass_at_2/both_incorrect"] is not None
