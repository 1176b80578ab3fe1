"""How large a model is, by its ``config.json``. No torch, and no weights are read."""

from __future__ import annotations

from transformers import PreTrainedConfig


def parameters(settings: PreTrainedConfig) -> int:
    """Number of parameters of a decoder with gated feed-forward layers, without biases and norms: within a few per
    cent of Llama's and Qwen's; of a mixture all experts are counted."""
    text = settings.get_text_config()
    hidden = int(getattr(text, "hidden_size", None) or 0)
    heads = int(getattr(text, "num_attention_heads", None) or 1)
    head = int(getattr(text, "head_dim", None) or hidden // heads)
    key_value_heads = int(getattr(text, "num_key_value_heads", None) or heads)
    inner = getattr(text, "intermediate_size", None) or 4 * hidden
    inner = int(max(inner)) if isinstance(inner, (list, tuple)) else int(inner)
    experts = int(getattr(text, "num_experts", None) or getattr(text, "num_local_experts", None) or 1)
    attention = 2 * hidden * head * (heads + key_value_heads)
    layers = int(getattr(text, "num_hidden_layers", None) or 0) * (attention + 3 * hidden * inner * experts)
    tables = 1 if getattr(text, "tie_word_embeddings", False) else 2
    return layers + tables * int(text.vocab_size) * hidden
