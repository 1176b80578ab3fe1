"""Does a model keep keys and values, so that answers can go on from a prompt computed once? No torch."""

from __future__ import annotations

from transformers import PreTrainedConfig

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "attention"}
"""Kinds of layers, as ``config.json`` names them, whose whole state is keys and values."""


def keeps_keys_and_values(settings: PreTrainedConfig) -> bool:
    """What can be said from its settings; what they do not say, ``scorer_check`` finds in the model itself."""
    text = settings.get_text_config()
    kinds = getattr(text, "layer_types", None) or getattr(text, "layers_block_type", None)
    if kinds is not None:
        return set(kinds) <= ATTENTION
    return getattr(text, "num_attention_heads", None) is not None
