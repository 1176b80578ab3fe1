"""Attention over packed sequences by PyTorch's own variable-length kernel, under the name ``varlen``.

transformers passes what a model's ``forward`` was given on to the attention of every layer, so the borders of the
sequences are counted once a batch. PyTorch has the kernel for GPUs alone; on CPU each sequence is attended to by
itself, which gives the same numbers.

Shape legend: _H heads, _K heads of keys and values, _A all tokens of a pass, _D size of a head, _B borders of
sequences.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from raysgpo.config.trainer import VARLEN

UNSUPPORTED = ("sliding_window", "softcap", "s_aux")
"""What an architecture may ask of its attention, and this kernel is not asked for."""


def varlen_attention(
    module: torch.nn.Module,
    query_1HAD: Tensor,
    key_1KAD: Tensor,
    value_1KAD: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **further: Any,
) -> tuple[Tensor, None]:
    """[1, A, H, D]: causal attention within each sequence of one packed row.

    ``cu_seq_lens_q``: int32 [B], where each sequence begins, and the end of the last; ``max_length_q``: the longest.
    Without them the row is one sequence.

    Raises:
        ValueError: the architecture's attention is more than that.
    """
    if asked := [name for name in UNSUPPORTED if further.get(name) is not None]:
        raise ValueError(
            f"trainer.attention={VARLEN}: {type(module).__name__} sets {asked[0]}: set trainer.attention=sdpa"
        )
    assert len(query_1HAD) == 1 and attention_mask is None and dropout == 0, "one packed row, and nothing else"
    if cu_seq_lens_q is None or max_length_q is None:
        max_length_q = query_1HAD.shape[2]
        cu_seq_lens_q = torch.tensor([0, max_length_q], dtype=torch.int32, device=query_1HAD.device)
    heads = query_1HAD[0].transpose(0, 1), key_1KAD[0].transpose(0, 1), value_1KAD[0].transpose(0, 1)
    attend = _on_gpu if query_1HAD.is_cuda else _one_by_one
    return attend(*heads, cu_seq_lens_q, max_length_q, scaling)[None], None


def _on_gpu(
    query_AHD: Tensor, key_AKD: Tensor, value_AKD: Tensor, borders_B: Tensor, longest: int, scaling: float | None
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    attended: Tensor = varlen_attn(
        query_AHD,
        key_AKD,
        value_AKD,
        borders_B,
        borders_B,
        longest,
        longest,
        scale=scaling,
        window_size=(-1, 0),  # causal
        enable_gqa=True,
    )
    return attended


def _one_by_one(
    query_AHD: Tensor, key_AKD: Tensor, value_AKD: Tensor, borders_B: Tensor, longest: int, scaling: float | None
) -> Tensor:
    sizes = borders_B.diff().tolist()
    parts = [
        scaled_dot_product_attention(
            *(part.transpose(0, 1)[None] for part in parts), is_causal=True, scale=scaling, enable_gqa=True
        )[0].transpose(0, 1)
        for parts in zip(*(tensor.split(sizes) for tensor in (query_AHD, key_AKD, value_AKD)), strict=True)
    ]
    return torch.cat(parts)


AttentionInterface.register(VARLEN, varlen_attention)
