"""How large a model is, by its ``config.json``. No torch, and no weights are read."""

from __future__ import annotations

from transformers import PreTrainedConfig


def parameters(settings: PreTrainedConfig) -> int:
    """Number of parameters of a decoder with gated feed-forward layers, without biases and norms: within a few per
    cent of Llama's and Qwen's; of a mixture all experts are counted."""
    hidden = int(getattr(settings, "hidden_size", None) or 0)
    heads = int(getattr(settings, "num_attention_heads", None) or 1)
    head = int(getattr(settings, "head_dim", None) or hidden // heads)
    key_value_heads = int(getattr(settings, "num_key_value_heads", None) or heads)
    inner = getattr(settings, "moe_intermediate_size", None) or getattr(settings, "intermediate_size", None)
    inner = inner or 4 * hidden
    inner = int(max(inner)) if isinstance(inner, (list, tuple)) else int(inner)
    experts = int(getattr(settings, "num_experts", None) or getattr(settings, "num_local_experts", None) or 1)
    attention = 2 * hidden * head * (heads + key_value_heads)
    layers = int(getattr(settings, "num_hidden_layers", None) or 0) * (attention + 3 * hidden * inner * experts)
    tables = 1 if getattr(settings, "tie_word_embeddings", False) else 2
    return layers + tables * int(settings.vocab_size) * hidden
