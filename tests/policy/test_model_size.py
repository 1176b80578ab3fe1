"""The number of parameters that a config stands for, against models that are built from it."""

from __future__ import annotations

import pytest
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, Qwen2Config, Qwen3Config

from raysgpo.policy.model_size import parameters

SIZES = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SIZES, tie_word_embeddings=True),
        LlamaConfig(**SIZES, tie_word_embeddings=False),
        Qwen2Config(**SIZES),
        Qwen3Config(**SIZES, head_dim=16),
    ],
)
def test_it_is_within_two_per_cent(config: PreTrainedConfig) -> None:
    built = AutoModelForCausalLM.from_config(config)
    assert parameters(config) == pytest.approx(sum(p.numel() for p in built.parameters()), rel=0.02)


def test_a_config_that_says_nothing_is_of_no_size() -> None:
    assert parameters(PreTrainedConfig(vocab_size=10)) == 0
