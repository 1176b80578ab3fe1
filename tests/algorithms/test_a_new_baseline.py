"""What a new baseline touches: its row, and nothing else of the code."""

from __future__ import annotations

import numpy as np
import pytest

from raysgpo.algorithms.baselines import BASELINES, Baseline, Bool_G, Float_G
from raysgpo.config.overrides import ConfigError
from tests.preset_groups import finished_groups, settings


def _median(rewards_G: Float_G, part_G: Bool_G, r_min_correct: float) -> Float_G:
    return np.asarray(np.nanmedian(np.where(part_G, rewards_G, np.nan), axis=-1, keepdims=True))


def test_a_new_baseline_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="median: no such baseline; choose from mean"):
        settings("grpo", ["algorithm.baseline=median"])
    monkeypatch.setitem(BASELINES, "median", Baseline(_median, "median of the group", alone="is its own median"))
    with pytest.raises(ConfigError, match=r"algorithm\.baseline=median is its own median"):
        settings("grpo", ["algorithm.baseline=median", "sampling.group_size=1"])
    config = settings("grpo", ["algorithm.baseline=median", "algorithm.scale=none"])
    for group in finished_groups(config):
        rewards = [rollout.reward for rollout in group.rollouts_G]
        expected = [reward - float(np.median(rewards)) for reward in rewards]
        assert [rollout.advantage for rollout in group.rollouts_G] == pytest.approx(expected)
        assert (group.dropped is not None) == (not any(expected))
