"""Responses of a small policy without an engine: transformers, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from raysgpo.policy.prompts import load_tokenizer

_AT_ONCE = 512


def sample_responses(policy: Path, prompts: Sequence[str], max_tokens: int = 64, temperature: float = 1.0) -> list[str]:
    """One response a prompt, cut off at ``max_tokens``; drawn with torch's global generator."""
    tokenizer = load_tokenizer(str(policy))
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    texts: list[str] = []
    for start in range(0, len(prompts), _AT_ONCE):
        turns = [[{"role": "user", "content": prompt}] for prompt in prompts[start : start + _AT_ONCE]]
        heads = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        encoded = tokenizer(heads, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt")
        with torch.inference_mode():
            ids_BT = model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=max_tokens,
                do_sample=True,
                temperature=temperature,
                top_k=0,
            )
        texts += tokenizer.batch_decode(ids_BT[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts
