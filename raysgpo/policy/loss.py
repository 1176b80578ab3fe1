"""The loss of a micro-batch: a surrogate with a KL penalty, and what is measured beside it.

Shape legend: _N scored tokens of a micro-batch.

    loss = sum_t weight_t (surrogate_t + beta kl_t) / denominator

``algorithms.surrogates`` has the surrogates. The denominator is counted once for the whole step and passed in,
so micro-batches and ranks only add up: however a step is divided, the gradient is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raysgpo.algorithms.surrogates import LOG_RATIO_LIMIT, SURROGATES, Bounds
from raysgpo.policy.batch import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective(Bounds):
    """The constants of the loss."""

    surrogate: str = "clip"
    """A row of ``SURROGATES``."""
    kl_coefficient: float = 0.0
    kl_estimator: str = "k3"
    """A row of ``ESTIMATORS``."""


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


def k1(log_ratio_N: Tensor) -> Tensor:
    """-d: unbiased. Its gradient is that of log p, whose mean under p is 0."""
    return -log_ratio_N


def k2(log_ratio_N: Tensor) -> Tensor:
    """d^2 / 2: biased. The mean of its gradient under p is that of KL(p || q)."""
    return 0.5 * log_ratio_N.square()


ESTIMATORS: Mapping[str, Callable[[Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
"""Estimates of KL(p || q) of the policy p to the reference q, by d = log q - log p of a sampled token."""


def policy_loss(
    logprobs_N: Tensor,
    entropy_N: Tensor,
    reference_logprobs_N: Tensor | None,
    batch: Batch,
    objective: Objective,
    denominator: float,
) -> Terms:
    """One micro-batch's terms. A sequence lies in one micro-batch.

    ``logprobs_N`` and ``entropy_N`` are the policy's, of what ``batch`` names; the logprobs of the reference
    policy are None without a KL penalty.
    """
    sampled_N, advantages_N, loss_weight_N = batch.sampled_N, batch.advantages_N, batch.loss_weight_N
    row = SURROGATES[objective.surrogate]
    log_ratio_N = logprobs_N - sampling_logprobs(logprobs_N, batch.sampler_logprobs_N, sampled_N)
    compared_N = log_ratio_N
    if row.over_answer:
        compared_N = over_sequences(log_ratio_N, sampled_N, batch.sequence_N, mean=row.ratio == "geometric mean")
    token_loss_N, clipped_N = row.loss(compared_N, logprobs_N, advantages_N, objective)
    size_N = (token_loss_N.detach() * loss_weight_N).abs().double()
    kl_N = torch.zeros_like(logprobs_N)
    if reference_logprobs_N is not None:
        log_ratio_to_N = reference_logprobs_N - logprobs_N
        kl_N = k3(log_ratio_to_N)
        penalty_N = ESTIMATORS[objective.kl_estimator](log_ratio_to_N)
        token_loss_N = token_loss_N + objective.kl_coefficient * penalty_N
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
