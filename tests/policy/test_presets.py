"""Every preset trains: from sampled groups through the one path to an optimizer step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from raysgpo.config.presets import PRESETS
from raysgpo.policy.policy import Policy
from raysgpo.policy.shares import step_shares
from tests.policy.conftest import known
from tests.preset_groups import finished_groups, settings

WORDS: dict[str, list[str]] = {name: [] for name in PRESETS} | {
    "sequence ratio": ["algorithm.ratio=sequence", "algorithm.aggregation=sequence-mean"],
    "truncated, token": ["algorithm.truncation=token"],
    "truncated, sequence": ["algorithm.truncation=sequence"],
}


@pytest.mark.parametrize("name", WORDS)
def test_a_step_changes_the_policy_as_its_advantages_say(name: str, one_rank: None, qwen2: str) -> None:
    config = settings(name if name in PRESETS else "grpo", WORDS[name])
    groups = finished_groups(config)
    policy = Policy.build(qwen2, config.trainer, config.optimizer, config.algorithm, 1.0, 10, world=1)
    [share] = step_shares(0, groups, config, world=1)
    before = [parameter.detach().clone() for parameter in policy.scorer.parameters()]
    metrics = policy.update(share)
    assert metrics["policy/skipped"] == 0 and known(metrics, "policy/grad_norm") > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, policy.scorer.parameters(), strict=True))
    signs = {np.sign(r.advantage) for g in groups if g.dropped is None for r in g.rollouts_G}
    ratio = metrics["advantage/r_loss"]
    assert (ratio is None) == (-1 not in signs)
    assert ratio is None or (math.isfinite(ratio) and (ratio > 0) == (1 in signs))
