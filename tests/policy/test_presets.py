"""Every preset trains: from sampled groups through the one path to an optimizer step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from raysgpo.algorithms.surrogates import SURROGATES
from raysgpo.config import Config
from raysgpo.config.presets import PRESETS
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import update_shares, with_logprobs
from tests.policy.conftest import known
from tests.preset_groups import finished_groups, settings

pytestmark = pytest.mark.slow

WORDS: dict[str, list[str]] = {name: [] for name in PRESETS} | {
    f"surrogate {name}": [f"algorithm.surrogate={name}"] for name in SURROGATES
}


def configured(name: str) -> Config:
    return settings(name if name in PRESETS else "grpo", [*WORDS[name], "trainer.dtype=float32"])


def built(model: str, config: Config) -> Policy:
    return Policy.build(model, config.trainer, config.optimizer, config.algorithm, 1.0, 10, world=1)


def on_policy_share(policy: Policy, config: Config, signs: set[int]) -> Share:
    """The answers with an advantage of these signs, as if the policy had sampled them: nothing is clipped."""
    groups = [group for group in finished_groups(config) if group.dropped is None]
    [share] = update_shares(0, groups, config, world=1)
    [share] = update_shares(0, with_logprobs(groups, config, [policy.logprobs(share)]), config, world=1)
    kept = [[s for s in cut if np.sign(s.advantages_T[-1]) in signs] for cut in share.micro_batches]
    return replace(share, micro_batches=kept)


def gain(policy: Policy, share: Share) -> float:
    """By how much an update raises the log-probabilities, each token's times its weight and advantage."""
    before = policy.logprobs(share)
    assert policy.update(share)["policy/clip_share"] == 0
    pairs = zip(share.micro_batches, before, policy.logprobs(share), strict=True)
    return sum(
        float((s.loss_weight_T * s.advantages_T * (new_T - old_T)).sum())
        for cut, old, new in pairs
        for s, old_T, new_T in zip(cut, old, new, strict=True)
    )


@pytest.mark.parametrize("name", WORDS)
def test_better_answers_become_likelier_and_worse_ones_less_likely(name: str, one_rank: None, qwen2: str) -> None:
    config = configured(name)
    for signs in ({1, -1}, {1}, {-1}):
        policy = built(qwen2, config)
        share = on_policy_share(policy, config, signs)
        if name == "positive_only" and signs == {-1}:
            assert not any(share.micro_batches), "it learns from right answers alone"
        else:
            assert gain(policy, share) > 0, signs


@pytest.mark.parametrize("name", WORDS)
def test_a_step_changes_the_policy_and_reports_on_both_sides_of_the_baseline(
    name: str, one_rank: None, qwen2: str
) -> None:
    config = configured(name)
    groups = [group for group in finished_groups(config) if group.dropped is None]
    policy = built(qwen2, config)
    # On-policy, as a sampler is: else the bounds of a whole answer hold everything.
    share = on_policy_share(policy, config, {1, -1})
    before = {name: weight.clone() for name, weight in policy.weights()}
    metrics = policy.update(share)
    assert metrics["policy/skipped"] == 0 and known(metrics, "policy/grad_norm") > 0
    assert any(not torch.equal(before[name], weight) for name, weight in policy.weights())
    signs = {np.sign(r.advantage) for g in groups for r in g.rollouts_G}
    ratio = metrics["advantage/r_loss"]
    assert (ratio is None) == (-1 not in signs)
    assert ratio is None or (math.isfinite(ratio) and (ratio > 0) == (1 in signs))
