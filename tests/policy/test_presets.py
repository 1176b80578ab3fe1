"""Every preset trains: from sampled groups through the one path to an optimizer step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from raysgpo.algorithms.surrogates import SURROGATES
from raysgpo.config.presets import PRESETS
from raysgpo.policy.policy import Policy
from raysgpo.policy.shares import step_shares, with_logprobs
from tests.policy.conftest import known
from tests.preset_groups import finished_groups, settings

WORDS: dict[str, list[str]] = {name: [] for name in PRESETS} | {
    name: [f"algorithm.surrogate={name}"] for name in SURROGATES
}


@pytest.mark.parametrize("name", WORDS)
def test_a_step_changes_the_policy_as_its_advantages_say(name: str, one_rank: None, qwen2: str) -> None:
    config = settings(name if name in PRESETS else "grpo", WORDS[name])
    groups = [group for group in finished_groups(config) if group.dropped is None]
    policy = Policy.build(qwen2, config.trainer, config.optimizer, config.algorithm, 1.0, 10, world=1)
    # On-policy, as a sampler is: else the bounds of a whole answer hold everything.
    [unscored] = step_shares(0, groups, config, world=1)
    [share] = step_shares(0, with_logprobs(groups, config, [policy.logprobs(unscored)]), config, world=1)
    before = {name: weight.clone() for name, weight in policy.weights()}
    metrics = policy.update(share)
    assert metrics["policy/skipped"] == 0 and known(metrics, "policy/grad_norm") > 0
    assert any(not torch.equal(before[name], weight) for name, weight in policy.weights())
    signs = {np.sign(r.advantage) for g in groups for r in g.rollouts_G}
    ratio = metrics["advantage/r_loss"]
    assert (ratio is None) == (-1 not in signs)
    assert ratio is None or (math.isfinite(ratio) and (ratio > 0) == (1 in signs))
