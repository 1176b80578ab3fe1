"""What a new surrogate touches: its row, and nothing else of the code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from raysgpo.algorithms.surrogates import SURROGATES, Bounds, Surrogate, Tensor_N
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence


def _negated(
    log_ratio_N: Tensor_N, logprobs_N: Tensor_N, advantages_N: Tensor_N, bounds: Bounds
) -> tuple[Tensor_N, Tensor_N]:
    """REINFORCE the wrong way around: whoever runs it shows it in the gradient."""
    return advantages_N * logprobs_N, advantages_N != advantages_N


def test_a_new_surrogate_is_a_row(
    build: Callable[..., Policy],
    qwen3: str,
    sequences: Callable[[int, int], list[TrainSequence]],
    shares: Callable[..., list[Share]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match="negated: no such surrogate; choose from clip"):
        resolve({}, overrides=["algorithm.surrogate=negated"])
    monkeypatch.setitem(SURROGATES, "negated", Surrogate(_negated, "A log π", "none"))
    gradients = {}
    for name in ("negated", "log_prob"):
        config = resolve({}, overrides=[f"algorithm.surrogate={name}"])
        policy = build(qwen3, surrogate=config.algorithm.surrogate)
        [share] = shares(sequences(3, 1))
        policy.accumulate(share)
        gradients[name] = [np.asarray(p.grad.full_tensor()) for p in policy.scorer.parameters()]
    for one, other in zip(gradients["negated"], gradients["log_prob"], strict=True):
        np.testing.assert_allclose(one, -other, rtol=1e-5, atol=1e-7)
