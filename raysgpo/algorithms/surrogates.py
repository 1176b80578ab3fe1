"""What stands in the place of the policy gradient of a token: one row a surrogate.

Shape legend: _N scored tokens of a micro-batch.

    d  = log pi(token) - log pi_sampler(token), of the token or of its answer (``Surrogate.ratio``)
    w  = exp(d), and A the token's advantage
    c  = w without a gradient

The functions take torch tensors and use their methods alone: the settings read this table, and must not wait
for torch. A new surrogate is a row here and a row of the table in docs/algorithms.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Tensor_N = Any
"""torch.Tensor [N]."""

LOG_RATIO_LIMIT = 20.0
"""Larger ones are clipped anyway, or hopeless; unlimited, exp() makes inf, and inf * 0 spoils the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the surrogates may read of the settings."""

    clip_low: float = 0.2
    clip_high: float = 0.2
    truncation_cap: float = 2.0


SurrogateFn = Callable[[Tensor_N, Tensor_N, Tensor_N, Bounds], tuple[Tensor_N, Tensor_N]]
"""(d, log pi(token), A, bounds) -> the loss of each token, and True where a bound took the gradient away or cut w."""


@dataclass(frozen=True, slots=True)
class Surrogate:
    """One way to turn log probabilities and advantages into a loss."""

    loss: SurrogateFn
    formula: str
    """The loss of a token, as the docs have it."""
    ratio: Literal["token", "geometric mean", "product", "none"] = "token"
    """What d is of: the token, the mean or the sum over the sampled tokens of its answer, or not looked at."""
    source: str = ""
    shared: bool = False
    """Whether the ratio carries the gradient over the whole answer, so that its tokens cannot be told apart."""

    @property
    def over_answer(self) -> bool:
        """Whether all sampled tokens of an answer share one ratio."""
        return self.ratio in ("geometric mean", "product")


def _ratio(log_ratio_N: Tensor_N) -> Tensor_N:
    return log_ratio_N.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def _clip(
    log_ratio_N: Tensor_N, logprobs_N: Tensor_N, advantages_N: Tensor_N, bounds: Bounds
) -> tuple[Tensor_N, Tensor_N]:
    ratio_N = _ratio(log_ratio_N)
    free_N = ratio_N * advantages_N
    bound_N = ratio_N.clamp(1 - bounds.clip_low, 1 + bounds.clip_high) * advantages_N
    return -free_N.minimum(bound_N), bound_N < free_N


def _weighted(weight_N: Tensor_N, logprobs_N: Tensor_N, advantages_N: Tensor_N) -> Tensor_N:
    """-c A with the gradient of -c A log pi: the policy gradient, corrected for what sampled the token."""
    return -weight_N * advantages_N * (logprobs_N - logprobs_N.detach()).exp()


def _truncate(
    log_ratio_N: Tensor_N, logprobs_N: Tensor_N, advantages_N: Tensor_N, bounds: Bounds
) -> tuple[Tensor_N, Tensor_N]:
    weight_N = _ratio(log_ratio_N.detach())
    cap = bounds.truncation_cap
    return _weighted(weight_N.clamp(max=cap), logprobs_N, advantages_N), weight_N > cap


def _cispo(
    log_ratio_N: Tensor_N, logprobs_N: Tensor_N, advantages_N: Tensor_N, bounds: Bounds
) -> tuple[Tensor_N, Tensor_N]:
    weight_N = _ratio(log_ratio_N.detach())
    held_N = weight_N.clamp(1 - bounds.clip_low, 1 + bounds.clip_high)
    return _weighted(held_N, logprobs_N, advantages_N), held_N != weight_N


def _log_prob(
    log_ratio_N: Tensor_N, logprobs_N: Tensor_N, advantages_N: Tensor_N, bounds: Bounds
) -> tuple[Tensor_N, Tensor_N]:
    return -advantages_N * logprobs_N, advantages_N != advantages_N


_CLIPPED = "-min(w A, clip(w, 1 - clip_low, 1 + clip_high) A)"
_TRUNCATED = "-min(c, truncation_cap) A log π"

SURROGATES: dict[str, Surrogate] = {
    "clip": Surrogate(_clip, _CLIPPED, "token", "PPO, arXiv 1707.06347; GRPO, arXiv 2402.03300"),
    "clip_sequence": Surrogate(_clip, _CLIPPED, "geometric mean", "GSPO, arXiv 2507.18071", shared=True),
    "clip_product": Surrogate(_clip, _CLIPPED, "product", "as SGPO prints it, arXiv 2505.11595", shared=True),
    "truncate": Surrogate(_truncate, _TRUNCATED, "token", "IMPALA, arXiv 1802.01561"),
    "truncate_product": Surrogate(_truncate, _TRUNCATED, "product", "IMPALA's, over the answer"),
    "cispo": Surrogate(
        _cispo,
        "-clip(c, 1 - clip_low, 1 + clip_high) A log π",
        "token",
        "CISPO, arXiv 2506.13585",
    ),
    "log_prob": Surrogate(_log_prob, "-A log π", "none", "REINFORCE, Williams 1992"),
}
