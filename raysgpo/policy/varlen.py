"""Attention over the segments of a packed row, under the name ``varlen``.

transformers passes what a model's ``forward`` was given on to the attention of every layer, so what attends to what is
worked out once a batch (``packing``). A layer is one call whatever is shared, so it can be computed again in the
backward pass, and its weights are gathered once.

On GPUs in a half type PyTorch's kernel for variable lengths does it, whose queries may be fewer than the keys.
Elsewhere segments of like sizes become padded rows for the dense kernel; all but attention is computed without padding.

Shape legend: _H heads, _K heads of keys and values, _A all tokens of a pass, _D size of a head, _Q padded queries,
_G gathered keys, _R rows of a bucket, _L queries of a row, _M keys of a row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, scaled_dot_product_attention
from transformers import AttentionInterface

from raysgpo.config.trainer import VARLEN
from raysgpo.policy.packing import Packing

HALVES = (torch.bfloat16, torch.float16)
"""What PyTorch's kernel computes in."""
UNSUPPORTED = ("softcap", "s_aux")
"""What an architecture may ask of its attention, and this kernel is not asked for."""


def varlen_attention(
    module: torch.nn.Module,
    query_1HAD: Tensor,
    key_1KAD: Tensor,
    value_1KAD: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    packing: Packing | None = None,
    **further: Any,
) -> tuple[Tensor, None]:
    """[1, A, H, D]: each segment causally, behind the prompt that it goes on from.

    ``sliding_window``: how many tokens, itself included, a token sees. Without ``packing`` each row is a sequence.

    Raises:
        ValueError: the architecture's attention is more than that.
    """
    if asked := [name for name in UNSUPPORTED if further.get(name) is not None]:
        raise ValueError(
            f"trainer.attention={VARLEN}: {type(module).__name__} sets {asked[0]}: set trainer.attention=sdpa"
        )
    assert attention_mask is None and dropout == 0, "attention is causal, and nothing else"
    if packing is None:
        attended_RHLD = _rows(query_1HAD, key_1KAD, value_1KAD, _window_mask(query_1HAD, sliding_window), scaling)
        return attended_RHLD.transpose(1, 2), None
    attend = _variable if query_1HAD.is_cuda and query_1HAD.dtype in HALVES else _padded
    query_AHD, key_AKD, value_AKD = (tensor[0].transpose(0, 1) for tensor in (query_1HAD, key_1KAD, value_1KAD))
    return attend(query_AHD, key_AKD, value_AKD, packing, sliding_window, scaling)[None], None


def _variable(
    query_AHD: Tensor, key_AKD: Tensor, value_AKD: Tensor, packing: Packing, window: int | None, scaling: float | None
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    lengths = packing.for_kernels()
    attended: Tensor = varlen_attn(
        query_AHD,
        *(_gathered(tensor, packing.keys_K) for tensor in (key_AKD, value_AKD)),
        lengths["cu_seq_lens_q"],
        lengths["cu_seq_lens_k"],
        lengths["max_length_q"],
        lengths["max_length_k"],
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),  # causal; where queries are fewer, they are the last
        enable_gqa=True,
    )
    return attended


def _padded(
    query_AHD: Tensor, key_AKD: Tensor, value_AKD: Tensor, packing: Packing, window: int | None, scaling: float | None
) -> Tensor:
    """Bucket by bucket."""
    queries_Q, keys_G, answers_A = packing.padded
    buckets = packing.buckets.buckets
    sizes = [bucket.rows * bucket.queries for bucket in buckets], [bucket.rows * bucket.keys for bucket in buckets]
    split = zip(
        _gathered(query_AHD, queries_Q).split(sizes[0]),
        _gathered(key_AKD, keys_G).split(sizes[1]),
        _gathered(value_AKD, keys_G).split(sizes[1]),
        strict=True,
    )
    attended = []
    for number, (bucket, parts) in enumerate(zip(buckets, split, strict=True)):
        query_RHLD, key_RKMD, value_RKMD = (part.unflatten(0, (bucket.rows, -1)).transpose(1, 2) for part in parts)
        mask_R1LM = packing.mask(number, window, query_AHD.dtype)
        attended_RHLD = _rows(query_RHLD, key_RKMD, value_RKMD, mask_R1LM, scaling)
        attended.append(attended_RHLD.transpose(1, 2).flatten(0, 1))
    return _gathered(torch.cat(attended), answers_A)


def _rows(
    query_RHLD: Tensor, key_RKMD: Tensor, value_RKMD: Tensor, mask_R1LM: Tensor | None, scaling: float | None
) -> Tensor:
    """Without a mask: each query sees as many keys as there are queries up to it."""
    if mask_R1LM is not None and query_RHLD.is_cuda:  # whose kernels take fewer heads of keys only without a mask
        times = query_RHLD.shape[1] // key_RKMD.shape[1]
        key_RKMD, value_RKMD = (tensor.repeat_interleave(times, dim=1) for tensor in (key_RKMD, value_RKMD))
    return scaled_dot_product_attention(
        query_RHLD,
        key_RKMD,
        value_RKMD,
        attn_mask=mask_R1LM,
        is_causal=mask_R1LM is None,
        scale=scaling,
        enable_gqa=query_RHLD.shape[1] != key_RKMD.shape[1],
    )


def _window_mask(query_RHLD: Tensor, window: int | None) -> Tensor | None:
    """Of rows that are sequences."""
    length = query_RHLD.shape[2]
    if window is None or window >= length:
        return None
    ago_LL = torch.arange(length, device=query_RHLD.device)[:, None] - torch.arange(length, device=query_RHLD.device)
    return ((ago_LL >= 0) & (ago_LL < window))[None, None]


def _gathered(tensor_AHD: Tensor, places: Tensor | None) -> Tensor:
    """What stands at these places; the gradients of a place that is asked for several times add up in one type and
    order, which indexing does not promise."""
    if places is None:
        return tensor_AHD
    return embedding(places, tensor_AHD.flatten(1)).unflatten(1, tensor_AHD.shape[1:])


AttentionInterface.register(VARLEN, varlen_attention)
