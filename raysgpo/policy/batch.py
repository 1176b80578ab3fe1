"""Sequences become tensors: one batch type, three layouts.

Shape legend: _P prompts, _S tokens of a prompt that is shared, _R rows, _L tokens of a row, _N scored tokens of the
batch (those whose logprob is needed), sequence after sequence, in the order of their tokens.

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
from raysgpo.policy.sequences import TrainSequence


@dataclass(frozen=True, slots=True)
class SharedPrompts:
    """Prompts that several rows go on from."""

    token_ids_PS: Tensor
    """int64 [P, S]."""
    prompt_R: Tensor
    """int64 [R]: which of them a row goes on from."""


@dataclass(frozen=True, slots=True)
class Borders:
    """Where the sequences of a packed row begin, as kernels of variable length want it."""

    cumulative: Tensor
    """int32, one more than there are sequences: 0, and where each ends."""
    longest: int

    def for_kernels(self) -> dict[str, Any]:
        """What ``forward`` of transformers' models hands on to the attention of each layer."""
        return {
            "cu_seq_lens_q": self.cumulative,
            "cu_seq_lens_k": self.cumulative,
            "max_length_q": self.longest,
            "max_length_k": self.longest,
        }


@dataclass(frozen=True, slots=True)
class ScorerInput:
    """What the model computes, and of which tokens it gives the logprobs."""

    prompts: SharedPrompts | None
    """None if a row holds its prompt itself."""
    token_ids_RL: Tensor
    """int64 [R, L]."""
    position_ids_RL: Tensor | None
    """int64 [1, L]: from 0 with each sequence when packed, from S on behind shared prompts; None: 0 ... L - 1."""
    predict_N: Tensor
    """int64 [N]: the flat place in [P, S] followed by [R, L] whose hidden state predicts the token, one before it."""
    targets_N: Tensor
    """int64 [N]: the token itself."""
    borders: Borders | None = None
    """Of the sequences of a packed row; None where a row is a sequence."""


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


def lay_out(
    sequences: Sequence[TrainSequence], layout: Layout, device: torch.device, apart: bool | None = None
) -> Batch:
    """Tensors of these sequences. Without any scored token it is a filler's batch, whose loss is 0.

    Padded: one row a sequence, padded on the right. No attention mask is needed: attention is
    causal, so no real token sees the padding behind it, and no padding is ever scored. That keeps
    the kernels' fast causal path.

    Shared: the same, behind prompts that stand there once for all rows of their group, where that saves anything, or as
    ``apart`` says.

    Packed: one row. Without a mask and a cache, transformers reads the restarting positions as
    borders and keeps the sequences apart.
    """
    scored = [sequence.scored_T for sequence in sequences]
    if not any(mask_T.any() for mask_T in scored):
        sequences, scored = [TrainSequence.filler()], [np.array([False, True])]
    return _tensors(sequences, arrange(sequences, layout, apart), device, scored)


def _tensors(
    sequences: Sequence[TrainSequence],
    arrangement: Arrangement,
    device: torch.device,
    scored: Sequence[NDArray[np.bool_]],
) -> Batch:
    def tensor(array: NDArray[np.generic], dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(array).to(device=device, dtype=dtype)

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
            prompts=_shared_prompts(arrangement, device),
            token_ids_RL=tensor(arrangement.token_ids_RL, torch.int64),
            position_ids_RL=None if positions_L is None else tensor(positions_L[None], torch.int64),
            predict_N=tensor(predict_N, torch.int64),
            targets_N=tensor(gather("token_ids_T"), torch.int64),
            borders=_borders(arrangement, device),
        ),
        loss_weight_N=tensor(gather("loss_weight_T"), torch.float32),
        advantages_N=tensor(gather("advantages_T"), torch.float32),
        sampler_logprobs_N=tensor(np.where(sampled_N, gather("logprobs_T"), 0), torch.float32),
        sampled_N=tensor(sampled_N, torch.bool),
        sequence_N=tensor(sequence_N, torch.int64),
    )


def _borders(arrangement: Arrangement, device: torch.device) -> Borders | None:
    lengths = arrangement.packed_lengths
    if lengths is None:
        return None
    ends = np.cumsum([0, *lengths], dtype=np.int32)
    return Borders(torch.from_numpy(ends).to(device), max(lengths))


def _shared_prompts(arrangement: Arrangement, device: torch.device) -> SharedPrompts | None:
    if arrangement.prompt_ids_PS is None or arrangement.prompt_R is None:
        return None
    return SharedPrompts(
        token_ids_PS=torch.from_numpy(arrangement.prompt_ids_PS).to(device=device, dtype=torch.int64),
        prompt_R=torch.from_numpy(arrangement.prompt_R).to(device),
    )
