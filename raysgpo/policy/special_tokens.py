"""A tokenizer's special tokens: those that a text is shown without. Takes those of transformers and of vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Their texts to their ids, such as ``{"<|im_end|>": 151645}``."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = {str(token): int(number) for number, token in added.items() if getattr(token, "special", False)}
    return special | dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))


def divided_stop(stop: Sequence[str], special: dict[str, int]) -> tuple[list[str], list[int]]:
    """The stop strings that a text may hold, and the ids of those that are special tokens."""
    return [text for text in stop if text not in special], [special[text] for text in stop if text in special]
