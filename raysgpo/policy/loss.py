"""The clipped surrogate with a KL penalty, and what is measured beside it.

Shape legend: _N scored tokens of a micro-batch.

    loss = sum_t weight_t ( -min(w_t A_t, clip(w_t, 1 - low, 1 + high) A_t) + beta k3_t ) / denominator
    w_t  = exp(logp_t - logp_sampler_t)

(GRPO, arXiv 2402.03300.) ``ratio="sequence"`` puts the geometric mean of an answer's ratios in the place
of each (GSPO, arXiv 2507.18071). Truncated importance sampling replaces the clipped term by

    -min(c_t, cap) A_t exp(logp_t - stop_gradient(logp_t)),     c_t = stop_gradient(w_t), or its product over the answer

(IMPALA, arXiv 1802.01561): the policy gradient, corrected for what sampled the token, with bounded weights.

The denominator is counted once for the whole step and passed in, so
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
    ratio: str = "token"
    """``token`` or ``sequence``."""
    truncation: str = "none"
    """``none``, ``token`` or ``sequence``."""
    truncation_cap: float = 2.0


@dataclass(frozen=True, slots=True)
class Terms:
    """A micro-batch's part of the loss, and sums for the metrics (no gradient)."""

    loss: Tensor
    """Scalar, already divided by the step's denominator: the parts of a step add up to its loss."""
    sums: dict[str, Tensor]
    """Sums over sampled tokens, scalars."""
    positive: Tensor
    """Sum of the weighted |loss|, without the KL penalty, of the tokens with A > 0."""
    negative: Tensor
    """The same of those with A < 0."""
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


def truncated_importance(
    logprobs_N: Tensor, log_weight_N: Tensor, advantages_N: Tensor, cap: float
) -> tuple[Tensor, Tensor]:
    """-min(c, cap) A exp(logp - stop_gradient(logp)), and True where the weight was cut."""
    log_weight_N = log_weight_N.detach()
    weight_N = log_weight_N.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
    alive_N = (logprobs_N - logprobs_N.detach()).exp()
    return -weight_N.clamp(max=cap) * advantages_N * alive_N, weight_N > cap


def over_sequences(values_N: Tensor, sampled_N: Tensor, sequence_N: Tensor, mean: bool) -> Tensor:
    """Each sampled token's value replaced by the sum or mean over the sampled tokens of its sequence.

    Tokens that were not sampled keep theirs. ``sequence_N``: the number of each token's sequence.
    """
    size = int(sequence_N.max()) + 1
    totals = values_N.new_zeros(size).index_add(0, sequence_N, torch.where(sampled_N, values_N, 0))
    if mean:
        counts = values_N.new_zeros(size).index_add(0, sequence_N, sampled_N.to(values_N.dtype))
        totals = totals / counts.clamp(min=1)
    return torch.where(sampled_N, totals[sequence_N], values_N)


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
    sequence_N: Tensor,
) -> Terms:
    """One micro-batch's terms; every argument with _N is a tensor [N]. A sequence lies in one micro-batch."""
    log_ratio_N = logprobs_N - sampling_logprobs(logprobs_N, sampler_logprobs_N, sampled_N)
    compared_N = log_ratio_N
    if objective.ratio == "sequence" or objective.truncation == "sequence":
        compared_N = over_sequences(log_ratio_N, sampled_N, sequence_N, mean=objective.ratio == "sequence")
    if objective.truncation != "none":
        token_loss_N, clipped_N = truncated_importance(logprobs_N, compared_N, advantages_N, objective.truncation_cap)
    else:
        token_loss_N, clipped_N = clipped_surrogate(compared_N, advantages_N, objective.clip_low, objective.clip_high)
    size_N = (token_loss_N.detach() * loss_weight_N).abs().double()
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
    return Terms(
        loss,
        sums,
        positive=torch.where(advantages_N > 0, size_N, 0).sum(),
        negative=torch.where(advantages_N < 0, size_N, 0).sum(),
        mismatch_max=gap_N.abs().max(),
    )
