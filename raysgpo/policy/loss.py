"""The clipped surrogate with a KL penalty, and what is measured beside it.

Shape legend: _N scored tokens of a micro-batch.

    loss = sum_t weight_t ( -min(w_t A_t, clip(w_t, 1 - low, 1 + high) A_t) + beta k3_t ) / denominator
    w_t  = exp(logp_t - logp_sampler_t)

(GRPO, arXiv 2402.03300.) The denominator is counted once for the whole step and passed in, so
micro-batches and ranks only add up: however a step is divided, the gradient is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOG_RATIO_LIMIT = 20.0
"""Larger ones are clipped anyway, or hopeless; unlimited, exp() makes inf, and inf * 0 spoils the step."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The constants of the loss."""

    clip_low: float
    clip_high: float
    kl_coefficient: float


@dataclass(frozen=True, slots=True)
class Terms:
    """A micro-batch's part of the loss, and sums for the metrics (no gradient)."""

    loss: Tensor
    """Scalar, already divided by the step's denominator: the parts of a step add up to its loss."""
    sums: dict[str, Tensor]
    """Sums over sampled tokens, scalars."""
    mismatch_max: Tensor
    """Largest |logp - logp_sampler| of a sampled token; 0 if there is none."""


def sampling_logprobs(logprobs_N: Tensor, sampler_logprobs_N: Tensor, sampled_N: Tensor) -> Tensor:
    """The denominator of the ratio: the sampler's logprob, or the trainer's own where nobody sampled.

    The latter gives a token that was put there (guidance) a ratio of 1 with a living gradient.
    """
    return torch.where(sampled_N, sampler_logprobs_N, logprobs_N.detach())


def clipped_surrogate(
    log_ratio_N: Tensor, advantages_N: Tensor, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """-min(w A, clip(w) A), and True where clipping took the gradient away."""
    ratio_N = log_ratio_N.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
    free_N = ratio_N * advantages_N
    bound_N = ratio_N.clamp(1 - clip_low, 1 + clip_high) * advantages_N
    return -torch.minimum(free_N, bound_N), bound_N < free_N


def k3(log_ratio_N: Tensor) -> Tensor:
    """exp(d) - d - 1 with d = log q - log p: an unbiased, never negative estimate of KL(p || q) under p.

    (John Schulman, "Approximating KL divergence".)
    """
    bounded_N = log_ratio_N.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return torch.expm1(bounded_N) - bounded_N


def policy_loss(
    logprobs_N: Tensor,
    entropy_N: Tensor,
    sampler_logprobs_N: Tensor,
    sampled_N: Tensor,
    advantages_N: Tensor,
    loss_weight_N: Tensor,
    reference_logprobs_N: Tensor | None,
    objective: Objective,
    denominator: float,
) -> Terms:
    """One micro-batch's terms; every argument with _N is a tensor [N]."""
    log_ratio_N = logprobs_N - sampling_logprobs(logprobs_N, sampler_logprobs_N, sampled_N)
    token_loss_N, clipped_N = clipped_surrogate(log_ratio_N, advantages_N, objective.clip_low, objective.clip_high)
    kl_N = torch.zeros_like(logprobs_N)
    if reference_logprobs_N is not None:
        kl_N = k3(reference_logprobs_N - logprobs_N)
        token_loss_N = token_loss_N + objective.kl_coefficient * kl_N
    loss = (token_loss_N * loss_weight_N).sum() / denominator

    def over_sampled(values_N: Tensor) -> Tensor:
        return torch.where(sampled_N, values_N.detach(), 0).double().sum()

    gap_N = torch.where(sampled_N, log_ratio_N.detach(), 0)
    sums = {
        "entropy": over_sampled(entropy_N),
        "clip_share": over_sampled(clipped_N.float()),
        "kl": over_sampled(kl_N),
        "mismatch_kl": over_sampled(k3(gap_N)),
        "mismatch_abs": over_sampled(gap_N.abs()),
        "ratio_mean": over_sampled(gap_N.clamp(max=LOG_RATIO_LIMIT).exp()),
    }
    return Terms(loss, sums, gap_N.abs().max())
