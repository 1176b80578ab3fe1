"""Is a model's attention full or sliding and nothing else, so that ``varlen`` can compute it?"""

from __future__ import annotations

from transformers import PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

KINDS = {"full_attention", "sliding_attention", "attention"}
"""Of layers, as ``config.json`` names them: those whose tokens meet in attention alone, and see all, or the latest."""


def attends_plainly(settings: PreTrainedConfig) -> bool:
    """What can be said from its settings and its class; what they do not say, ``scorer_check`` finds in the model."""
    text = settings.get_text_config()
    kinds = getattr(text, "layer_types", None) or getattr(text, "layers_block_type", None)
    if kinds is None and getattr(text, "num_attention_heads", None) is None:
        return False
    if not set(kinds or ()) <= KINDS or getattr(text, "attn_logit_softcapping", None) is not None:
        return False
    model = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(settings), None)
    # What cannot be computed by PyTorch's attention, as sinks, cannot be by ours.
    return model is not None and model._supports_attention_backend and model._supports_sdpa
