"""The form of the models that come with raysgpo: small, byte-level, in Hugging Face format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from transformers import GenerationConfig, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from raysgpo.config import Section
from raysgpo.tiny.tokenizer import VOCABULARY_SIZE, byte_tokenizer


@dataclass(frozen=True, slots=True)
class Shape:
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    head_size: int
    max_length: int
    """Longest prompt plus answer, tokens."""
    initial_std: float = 0.02
    """Standard deviation of the untrained weights."""
    samples: bool = True
    """Whether answers are sampled or greedy, where nobody says."""


def build_tiny_model(shape: Shape) -> PreTrainedModel:
    """An untrained model in fp32; its weights follow from torch's global seed."""
    tokenizer = byte_tokenizer(shape.max_length)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            head_dim=shape.head_size,
            max_position_embeddings=shape.max_length,
            initializer_range=shape.initial_std,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=shape.samples
    )
    return model


def save_tiny_model(model: PreTrainedModel, config: Section, folder: Path) -> None:
    """Model, tokenizer, generation settings, and the settings that made them (``made_by.json``)."""
    model.save_pretrained(folder)
    byte_tokenizer(model.config.max_position_embeddings).save_pretrained(folder)
    (folder / "made_by.json").write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")
