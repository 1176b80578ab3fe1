"""The papers' recipes: settings as the papers have them, twins that one word makes, and room on the GPUs they name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, Qwen2Config, Qwen3Config

from raysgpo.command.configure import configure
from raysgpo.command.words import Words
from raysgpo.config import Config
from raysgpo.guidance.schedule import guided_count
from raysgpo.planning.model_shape import ModelShape
from raysgpo.planning.plan import check_fits, longest_sequence
from raysgpo.recipes import RECIPES
from raysgpo.start.machine import Machine, with_machine

TWINS: dict[str, tuple[str, set[str]]] = {
    **{
        f"sgpo_{size}": ("algorithm=grpo", {"algorithm.partial_credit.kind"})
        for size in ("7b", "llama_8b", "14b", "32b")
    },
    **{
        f"g2rpo_a_{size}": ("guidance=none", {"guidance.schedule"})
        for size in ("0_6b", "1_7b", "8b", "code", "qwen_math_7b")
    },
    "corpo_qwen3_8b": ("algorithm=grpo", {"algorithm.baseline", "algorithm.scale"}),
}
"""Recipe to the word that makes it GRPO, and to all that it changes."""


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        found |= flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return found


def typed(recipe: str, *words: str, offline: bool = False) -> Config:
    return configure(Words(recipe, None, list(words)), RECIPES, "offline" if offline else "online")


@pytest.mark.parametrize("recipe", TWINS)
def test_one_word_makes_it_grpo_and_changes_nothing_else(recipe: str) -> None:
    word, changed = TWINS[recipe]
    ours, twin = (flat(typed(recipe, *words).model_dump()) for words in ((), (word,)))
    assert {key for key in ours if ours[key] != twin[key]} == changed
    assert f"``{word}``" in (RECIPES.folder / f"{recipe}.py").read_text() or recipe in ("sgpo_14b", "sgpo_32b")


def test_static_and_the_positive_contrast_are_a_word_too() -> None:
    ours, static = (typed("corpo_qwen3_8b", *words) for words in ((), ("algorithm=static",)))
    assert (ours.algorithm.baseline, static.algorithm.baseline) == ("corpo", "static")
    assert static.algorithm.keep == ours.algorithm.keep == "reward_variance"
    positive = typed("sgpo_offline_limo", "offline.keep=positive", offline=True)
    assert flat(positive.model_dump()) | {"offline.keep": "all_negative"} == flat(
        typed("sgpo_offline_limo", offline=True).model_dump()
    )


def test_what_the_papers_print() -> None:
    """Of ``shared/papers``: epochs, group sizes, alpha, lengths, learning rates and the evaluation."""
    for recipe, guided, group in (
        ("0_6b", 9, 12), ("1_7b", 3, 12), ("8b", 1, 7), ("code", 12, 12), ("qwen_math_7b", 1, 6)
    ):  # fmt: skip
        config = typed(f"g2rpo_a_{recipe}")
        assert guided_count(config.guidance.ratio, config.sampling.group_size) == guided
        assert config.sampling.group_size == group and config.epochs == (1 if group == 6 else 5)
        optimizer, evaluation = config.optimizer, config.evaluation
        assert (optimizer.lr, optimizer.warmup_ratio, optimizer.schedule) == (1e-6, 0.1, "cosine")
        assert (evaluation.temperature, evaluation.top_p, evaluation.top_k) == (0.6, 0.95, 20)
    adaptive = typed("g2rpo_a_8b")
    assert (adaptive.guidance.length, adaptive.guidance.window, adaptive.curriculum.order) == (3072, 2, "tier")
    for recipe in ("sgpo_7b", "sgpo_llama_8b", "sgpo_14b", "sgpo_32b"):
        config = typed(recipe)
        assert (config.epochs, config.judge.epochs, config.judge.votes) == (12, 3, 1)
        assert (config.sampling.group_size, config.sampling.max_tokens) == (8, 8192)
    offline = typed("sgpo_offline_limo", offline=True)
    assert (offline.sampling.group_size, offline.offline.epochs, offline.optimizer.lr) == (6, 3, 2e-6)
    corpo = typed("corpo_qwen3_8b")
    assert corpo.task.max_prompt_tokens == 4096 and 4096 + corpo.sampling.max_tokens == 16384
    assert corpo.prompts_per_step * corpo.sampling.group_size == 512 and corpo.optimizer.updates_per_step == 1
    assert (corpo.optimizer.lr, corpo.optimizer.warmup_steps, corpo.optimizer.schedule) == (1e-6, 10, "constant")
    assert (corpo.evaluation.samples, corpo.evaluation.prompts, corpo.algorithm.kl_coefficient) == (16, "all", 0)


def qwen3(hidden: int, intermediate: int, layers: int, heads: int, tied: bool) -> PretrainedConfig:
    return Qwen3Config(
        hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=8, head_dim=128, vocab_size=151_936, tie_word_embeddings=tied,
    )  # fmt: skip


MODELS: dict[str, PretrainedConfig] = {
    "sgpo_llama_8b": LlamaConfig(
        hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, vocab_size=128_256, tie_word_embeddings=False,
    ),
    "sgpo_offline_limo": Qwen2Config(
        hidden_size=5120, intermediate_size=13824, num_hidden_layers=48, num_attention_heads=40,
        num_key_value_heads=8, vocab_size=152_064, tie_word_embeddings=False,
    ),
    "g2rpo_a_0_6b": qwen3(1024, 3072, 28, 16, True),
    "g2rpo_a_1_7b": qwen3(2048, 6144, 28, 16, True),
    "g2rpo_a_code": qwen3(2048, 6144, 28, 16, True),
    "g2rpo_a_8b": qwen3(4096, 12288, 36, 32, False),
    "g2rpo_a_qwen_math_7b": Qwen2Config(
        hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4, vocab_size=152_064, tie_word_embeddings=False,
    ),
    "corpo_qwen3_8b": qwen3(4096, 12288, 36, 32, False),
}  # fmt: skip
"""Recipe to its model's config.json."""


@pytest.mark.parametrize("recipe", MODELS)
def test_it_fits_on_the_gpus_that_it_names(recipe: str) -> None:
    with torch.device("meta"):
        shape = ModelShape.of(AutoModelForCausalLM.from_config(MODELS[recipe]))
    config = typed(recipe, offline=recipe == "sgpo_offline_limo")
    assert config.trainer.workers[1] + config.rollout.replicas[1] * config.rollout.gpus in (8, 16)
    config = with_machine(config, shape.parameters, Machine(8, True))
    check_fits(shape, config, longest_sequence(config))


def test_limo_at_32b_is_the_words_of_its_docstring() -> None:
    text = (RECIPES.folder / "sgpo_offline_limo.py").read_text()
    words = text.partition("At 32B")[2].partition("``")[2].partition("``")[0].split()
    config = typed("sgpo_offline_limo", *words, offline=True)
    assert config.trainer.workers[1] + config.rollout.replicas[1] * config.rollout.gpus == 32
