"""Sequences become tensors: one batch type, three layouts.

Shape legend: _R rows, _L tokens of a row, _N scored tokens of the batch (those whose logprob is needed), sequence after
sequence, in the order of their tokens.

Everything the loss reads is _N, whatever the layout; the layouts differ only in where a token stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raysgpo.policy.arrangement import Arrangement, arrange
from raysgpo.policy.layout import Layout
from raysgpo.policy.packing import Packing
from raysgpo.policy.sequences import TrainSequence
from raysgpo.policy.to_device import to_device


@dataclass(frozen=True, slots=True)
class ScorerInput:
    """What the model computes, and of which tokens it gives the logprobs."""

    token_ids_RL: Tensor
    """int64 [R, L]."""
    position_ids_RL: Tensor | None
    """int64 [1, L]: of each token in its sequence; None: 0 ... L - 1."""
    predict_N: Tensor
    """int64 [N]: the flat place in [R, L] whose hidden state predicts the token, that of the token before it."""
    targets_N: Tensor
    """int64 [N]: the token itself."""
    packing: Packing | None = None
    """Of the segments of a packed row; None where a row is a sequence."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The tensors of one forward and backward pass."""

    inputs: ScorerInput
    loss_weight_N: Tensor
    advantages_N: Tensor
    sampler_logprobs_N: Tensor
    """float32 [N]; 0 where the token was not sampled."""
    sampled_N: Tensor
    """bool [N]."""
    sequence_N: Tensor
    """int64 [N]: the number, within the batch, of the token's sequence."""
    tokens: int
    """That the model computes, without padding."""


def lay_out(sequences: Sequence[TrainSequence], layout: Layout, device: torch.device) -> Batch:
    """Tensors of these sequences. Without any scored token it is a filler's batch, whose loss is 0.

    Padded: one row a sequence, padded on the right. No attention mask is needed: attention is
    causal, so no real token sees the padding behind it, and no padding is ever scored. That keeps
    the kernels' fast causal path.

    Packed: one row, whose sequences attention keeps apart by their borders.

    Shared: the same, with the prompt of a group once, before its answers.
    """
    scored = [sequence.scored_T for sequence in sequences]
    if not any(mask_T.any() for mask_T in scored):
        sequences, scored = [TrainSequence.filler()], [np.array([False, True])]
    return _tensors(sequences, arrange(sequences, layout), device, scored)


def _tensors(
    sequences: Sequence[TrainSequence],
    arrangement: Arrangement,
    device: torch.device,
    scored: Sequence[NDArray[np.bool_]],
) -> Batch:
    def tensor(array: NDArray[Any], dtype: torch.dtype) -> Tensor:
        return to_device(array, device, dtype)

    def gather(field: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(s, field)[mask_T] for s, mask_T in zip(sequences, scored, strict=True)])

    positions_L = arrangement.position_ids_L
    # A token's logprob comes from the place of the one before it.
    predict_N = np.concatenate(
        [place_T[np.flatnonzero(mask_T) - 1] for place_T, mask_T in zip(arrangement.places, scored, strict=True)]
    )
    sampled_N = gather("sampled_T")
    sequence_N = np.repeat(np.arange(len(sequences)), [int(mask_T.sum()) for mask_T in scored])
    return Batch(
        inputs=ScorerInput(
            token_ids_RL=tensor(arrangement.token_ids_RL, torch.int64),
            position_ids_RL=None if positions_L is None else tensor(positions_L[None], torch.int64),
            predict_N=tensor(predict_N, torch.int64),
            targets_N=tensor(gather("token_ids_T"), torch.int64),
            packing=Packing.of(arrangement.segments, device) if arrangement.segments else None,
        ),
        loss_weight_N=tensor(gather("loss_weight_T"), torch.float32),
        advantages_N=tensor(gather("advantages_T"), torch.float32),
        sampler_logprobs_N=tensor(np.where(sampled_N, gather("logprobs_T"), 0), torch.float32),
        sampled_N=tensor(sampled_N, torch.bool),
        sequence_N=tensor(sequence_N, torch.int64),
        tokens=arrangement.tokens,
    )
