"""The shape of a model, of its tensors and of its layers, by its ``config.json``; no weight is read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedModel

from raysgpo.policy.lora import is_adapter
from raysgpo.policy.model import decoder_layers

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """``ModelShape.of(model)``; sizes in numbers, not bytes."""

    root: tuple[Shape, ...]
    """Parameters outside the layers: embedding, last norm, head. A tied head is there once."""
    layers: tuple[tuple[Shape, ...], ...]
    """Of each layer, which is sharded and gathered as one; adapters apart."""
    hidden: int
    inner: int
    """Width of the feed-forward block."""
    query: int
    """Width of all query heads together."""
    key_value: int
    """Width of all key heads together, and of all value heads."""
    key_value_heads: int
    vocabulary: int
    adapters: tuple[Shape, ...] = ()
    """Of LoRA, if they are there."""

    @classmethod
    def of(cls, causal: PreTrainedModel) -> ModelShape:
        """``causal`` may be on the meta device."""
        text = causal.config.get_text_config()
        low = {id(p): tuple(p.shape) for name, p in causal.named_parameters() if is_adapter(name)}
        layers = [[p for p in layer.parameters() if id(p) not in low] for layer in decoder_layers(causal)]
        inside = {id(parameter) for layer in layers for parameter in layer} | low.keys()
        heads = text.num_attention_heads
        head = getattr(text, "head_dim", None) or text.hidden_size // heads
        key_value_heads = getattr(text, "num_key_value_heads", None) or heads
        return cls(
            root=tuple(tuple(p.shape) for p in causal.parameters() if id(p) not in inside),
            layers=tuple(tuple(tuple(p.shape) for p in layer) for layer in layers),
            adapters=tuple(low.values()),
            hidden=text.hidden_size,
            inner=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
            query=heads * head,
            key_value=key_value_heads * head,
            key_value_heads=key_value_heads,
            vocabulary=text.vocab_size,
        )

    @property
    def parameters(self) -> int:
        return _numbers(self.root) + sum(_numbers(layer) for layer in self.layers)

    @property
    def root_numbers(self) -> int:
        return _numbers(self.root)

    @property
    def layer_numbers(self) -> int:
        """Of the largest layer."""
        return max((_numbers(layer) for layer in self.layers), default=0)

    @property
    def attention_parity(self) -> int:
        """Tokens at which a sequence costs as much in causal attention as in the matrices of the layers.

        A layer of N numbers and query width Q makes 2 N L operations of L tokens, and 2 Q L^2 of their attention.
        """
        return max(1, self.layer_numbers // self.query)

    def sharded(self, ranks: int) -> int:
        """Numbers that each of ``ranks`` holds: FSDP divides the first dimension, and pads it to a multiple."""
        return _shard([*self.root, *(shape for layer in self.layers for shape in layer)], ranks)

    @property
    def trained(self) -> int:
        """Numbers that have a gradient: all, or the adapters."""
        return _numbers(self.adapters) or self.parameters

    def trained_shard(self, ranks: int) -> int:
        """Of those, what each of ``ranks`` holds."""
        return _shard(self.adapters, ranks) if self.adapters else self.sharded(ranks)


def _shard(shapes: Iterable[Shape], ranks: int) -> int:
    return sum(math.ceil(first / ranks) * math.prod(rest) for first, *rest in shapes)


def _numbers(shapes: tuple[Shape, ...]) -> int:
    return sum(math.prod(shape) for shape in shapes)
