"""Settings by which an architecture changes its logits after the head, as ``config.json`` says them. No torch.

The trainer's logprobs are those of the plain head. What no setting says, ``scorer_check`` finds in the model itself.
"""

from __future__ import annotations

from transformers import PretrainedConfig

LOGIT_CHANGES = {
    "final_logit_softcapping": None,
    "logits_scaling": 1.0,
    "logit_scale": 1.0,
    "lm_head_multiplier": 1.0,
    "output_multiplier": 1.0,
}
"""Each with its neutral value."""


def changed_logits(settings: PretrainedConfig) -> str | None:
    """The setting that changes the logits, as ``name=value``; None if none does."""
    text = settings.get_text_config()
    for name, neutral in LOGIT_CHANGES.items():
        value = getattr(text, name, neutral)
        if value is not None and value != neutral:
            return f"{name}={value}"
    return None


def refusal(model_path: str, what: str) -> str:
    """The message for a model that ``what`` is said of."""
    return (
        f"model={model_path}: {what}, which changes the logits after the head; the trainer computes logprobs from "
        "the plain head. Choose a model without it"
    )
