"""Logprobs and entropies of given tokens, without the logits of the whole batch.

Shape legend: _N scored tokens, _C tokens of a chunk, _H hidden size, _V vocabulary.

A batch's logits [N, V] are by far its largest tensor (32k tokens times a vocabulary of 150k: 20 GB
in float32). Here the head runs over chunks of C tokens, forward and again in backward, so at most
a few [C, V] tensors exist at one time. The last chunk of the forward pass is the first of the backward pass, and its
probabilities wait for it: a batch of one chunk is computed once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def token_logprobs(
    hidden_NH: Tensor, head_VH: Tensor, targets_N: Tensor, temperature: float, chunk: int
) -> tuple[Tensor, Tensor]:
    """log pi(target) and the entropy of pi, in nats, float32 [N]; pi = softmax(hidden head^T / temperature).

    The logprobs carry gradients to ``hidden_NH`` and ``head_VH``; the entropies carry none.
    """
    assert chunk >= 1, f"a chunk needs at least one token, got {chunk}"
    assert temperature > 0, f"logprobs need a positive temperature, got {temperature}"
    logprobs_N, entropy_N = _ChunkedHead.apply(hidden_NH, head_VH, targets_N, temperature, chunk)
    return logprobs_N, entropy_N


def _log_softmax(hidden_CH: Tensor, head_VH: Tensor, temperature: float) -> Tensor:
    """[C, V] in float32, whatever the type of the weights."""
    logits_CV = (hidden_CH @ head_VH.T).float()
    if temperature != 1:
        logits_CV = logits_CV.div_(temperature)
    return torch.log_softmax(logits_CV, dim=-1)


def _slices(length: int, chunk: int) -> list[slice]:
    return [slice(start, start + chunk) for start in range(0, length, chunk)]


class _ChunkedHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, head_VH: Tensor, targets_N: Tensor, temperature: float, chunk: int
    ) -> tuple[Tensor, Tensor]:
        ctx.temperature, ctx.chunk = temperature, chunk
        logprobs_N = hidden_NH.new_empty(len(hidden_NH), dtype=torch.float32)
        entropy_N = torch.empty_like(logprobs_N)
        pi_CV: Tensor | None = None
        for part in _slices(len(hidden_NH), chunk):
            del pi_CV
            logp_CV = _log_softmax(hidden_NH[part], head_VH, temperature)
            logprobs_N[part] = logp_CV.gather(-1, targets_N[part, None]).squeeze(-1)
            pi_CV = logp_CV.exp()
            entropy_N[part] = -torch.linalg.vecdot(pi_CV, logp_CV)
            del logp_CV
        ctx.save_for_backward(hidden_NH, head_VH, targets_N)
        ctx.pi_CV = pi_CV  # by its name: what is saved cannot be written over, nor given up in the middle
        ctx.mark_non_differentiable(entropy_N)
        return logprobs_N, entropy_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """d logp(y) / d logits = (onehot(y) - pi) / temperature."""
        hidden_NH, head_VH, targets_N = ctx.saved_tensors
        pi_CV, ctx.pi_CV = ctx.pi_CV, None
        grad_hidden_NH = torch.empty_like(hidden_NH)
        # Summed over chunks in float32: in bfloat16 the later chunks would be rounded away.
        wanted = ctx.needs_input_grad[1]  # not of a head that is frozen, as beside adapters
        grad_head_VH: Tensor | None = None
        for part in reversed(_slices(len(hidden_NH), ctx.chunk)):
            hidden_CH, grad_C1 = hidden_NH[part], grad_N[part, None] / ctx.temperature
            if pi_CV is None:
                pi_CV = _log_softmax(hidden_CH, head_VH, ctx.temperature).exp_()
            grad_CV = pi_CV.mul_(-grad_C1).scatter_add_(-1, targets_N[part, None], grad_C1).to(head_VH.dtype)
            pi_CV = None
            grad_hidden_NH[part] = grad_CV @ head_VH
            if wanted:
                grad_part_VH = (grad_CV.T @ hidden_CH).float()
                grad_head_VH = grad_part_VH if grad_head_VH is None else grad_head_VH.add_(grad_part_VH)
        grad_head = None if grad_head_VH is None else grad_head_VH.to(head_VH.dtype)
        return grad_hidden_NH, grad_head, None, None, None
