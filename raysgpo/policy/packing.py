"""The segments of a packed row as tensors, for the attention of every layer: made once a batch.

Shape legend: _B borders, _K keys and values of all segments together, _Q padded queries, _A tokens of the packed row,
_R rows of a bucket, _L queries of a row, _M keys of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raysgpo.policy.segments import Buckets, Segment, borders, bucketed
from raysgpo.policy.to_device import to_device


@dataclass(frozen=True)
class Packing:
    """Where the segments of a row begin, and what they attend to."""

    segments: Sequence[Segment]
    cumulative: Tensor
    """int32 [B]: 0, and where each segment ends."""
    cumulative_keys: Tensor
    """The same of their keys, a prompt's before those of each segment behind it."""
    device: torch.device
    _masks: dict[tuple[int, int | None, torch.dtype], Tensor | None] = field(default_factory=dict)

    @classmethod
    def of(cls, segments: Sequence[Segment], device: torch.device) -> Packing:
        ends, of_keys = (
            to_device(borders(lengths), device)
            for lengths in ([s.length for s in segments], [s.keys for s in segments])
        )
        return cls(segments, ends, of_keys, device)

    def for_kernels(self) -> dict[str, Any]:
        """What ``forward`` of transformers' models hands on to the attention of each layer.

        Kernels other than ``varlen`` read the lengths alone, which are enough where nothing is shared."""
        return {
            "cu_seq_lens_q": self.cumulative,
            "cu_seq_lens_k": self.cumulative_keys,
            "max_length_q": max(segment.length for segment in self.segments),
            "max_length_k": max(segment.keys for segment in self.segments),
            "packing": self,
        }

    @cached_property
    def keys_K(self) -> Tensor | None:
        """int64 [K]: the place of each key, segment after segment; None: as they stand in the row."""
        if all(segment.behind is None for segment in self.segments):
            return None
        return self._tensor(np.concatenate([segment.key_places for segment in self.segments]))

    @cached_property
    def buckets(self) -> Buckets:
        return bucketed(self.segments)

    @cached_property
    def padded(self) -> tuple[Tensor, Tensor, Tensor]:
        """int64: the places that padded queries and keys are gathered from, and where among the queries a place is."""
        buckets = self.buckets
        return self._tensor(buckets.queries_Q), self._tensor(buckets.keys_K), self._tensor(buckets.answers_A)

    def mask(self, number: int, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """[R or 1, 1, L, M], to be added, of a bucket's rows; None for the plain triangle."""
        key = number, window, dtype
        if key not in self._masks:
            bucket = self.buckets.buckets[number]
            wide = window is None or window >= bucket.keys
            self._masks[key] = None if bucket.causal and wide else self._added(bucket.visible(window), dtype)
        return self._masks[key]

    def _added(self, visible_RLM: NDArray[np.bool_], dtype: torch.dtype) -> Tensor:
        hidden_R1LM = self._tensor(~visible_RLM)[:, None]
        return torch.zeros_like(hidden_R1LM, dtype=dtype).masked_fill_(hidden_R1LM, -torch.inf)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return to_device(array, self.device)
