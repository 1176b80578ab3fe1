"""The tiny policy of the embedded default: built from a seed, taught chained arithmetic, cached.

Supervised fine-tuning in two phases makes a policy that knows the arithmetic and makes mistakes by
chance, which is what reinforcement can mend (a policy that is wrong out of ignorance stays flat):

1. clean solutions of short chains, to near certainty;
2. a short phase on solutions in which most steps slip, each carried on from its mistake.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field
from transformers import PreTrainedModel

from raysgpo.config import Section
from raysgpo.seeds import derive_seed
from raysgpo.tasks import arithmetic as arithmetic_file
from raysgpo.tasks.arithmetic import Chain, draw_chain
from raysgpo.tiny import sft, tiny_model
from raysgpo.tiny import tokenizer as tokenizer_file
from raysgpo.tiny.model_cache import find_or_make, fingerprint
from raysgpo.tiny.sft import batches, teach, torch_setting
from raysgpo.tiny.tiny_model import Shape, build_tiny_model, save_tiny_model
from raysgpo.tiny.tokenizer import byte_tokenizer


class TinyConfig(Section):
    """Settings of the tiny policy; the defaults are the policy of ``model=tiny``."""

    seed: int = Field(0, ge=0)
    hidden_size: int = Field(128, ge=1)
    intermediate_size: int = Field(512, ge=1)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    max_length: int = Field(1024, ge=2)
    """Longest prompt plus answer, tokens."""
    digits: int = Field(1, ge=1, le=4)
    """Digits of a term, as ``task.digits``."""
    operators: str = Field("+-", pattern=r"^[-+*]+$")
    """As ``task.operators``."""
    batch_size: int = Field(64, ge=1)
    clean_terms: tuple[int, ...] = (2, 3, 4)
    """Phase 1: lengths of the chains, drawn uniformly."""
    clean_steps: int = Field(700, ge=0)
    clean_lr: float = Field(3e-3, gt=0)
    slip_terms: tuple[int, ...] = (3, 4)
    """Phase 2: lengths of the chains."""
    slip_steps: int = Field(70, ge=0)
    slip_lr: float = Field(5e-4, gt=0)
    slip_chance: float = Field(0.6, ge=0, le=1)
    """Phase 2: chance that a step is wrong."""
    slip_size: int = Field(9, ge=1)
    """A wrong value is off by 1 to this much, up or down, drawn uniformly."""
    threads: int = Field(2, ge=1)
    """Torch threads; sums may be ordered otherwise with another number, so it belongs to the settings."""

    @property
    def shape(self) -> Shape:
        head_size = self.hidden_size // self.heads
        return Shape(self.hidden_size, self.intermediate_size, self.layers, self.heads, head_size, self.max_length)


def ensure_tiny_policy(
    cache: Path,
    seed: int = 0,
    report: Callable[[str], None] = print,
    config: TinyConfig | None = None,
) -> Path:
    """The folder of the tiny policy in Hugging Face format, made now unless it is there already.

    It lies under ``cache/models`` and is named by its settings and by the code that makes it.
    It appears complete or not at all: written to a folder of its own, then renamed.
    """
    config = config or TinyConfig(seed=seed)
    target = policy_folder(cache, config)

    def make(folder: Path) -> None:
        report(f"making the tiny policy (once, a few minutes): {target}")
        save_tiny_model(train_tiny_policy(config, report), config, folder)

    return find_or_make(target, make)


def policy_folder(cache: Path, config: TinyConfig) -> Path:
    """Where the policy of these settings lies, made or not."""
    sources = (sys.modules[__name__], sft, tiny_model, tokenizer_file, arithmetic_file)
    return cache / "models" / f"tiny-{fingerprint(config, sources)}"


def train_tiny_policy(config: TinyConfig, report: Callable[[str], None] = print) -> PreTrainedModel:
    """Build and teach the policy; the same configuration gives the same weights."""
    with torch_setting(config.threads, derive_seed("tiny policy", config.seed)):
        model = build_tiny_model(config.shape)
        rng = random.Random(derive_seed("tiny data", config.seed))
        tokenizer = byte_tokenizer(config.max_length)
        clean = batches(tokenizer, (_clean_solution(config, rng) for _ in iter(int, 1)), config.batch_size)
        slips = batches(tokenizer, (_slipping_solution(config, rng) for _ in iter(int, 1)), config.batch_size)
        teach(model, clean, config.clean_steps, config.clean_lr, report, "tiny policy, clean")
        teach(model, slips, config.slip_steps, config.slip_lr, report, "tiny policy, slips")
    return model.eval()


def training_chain(rng: random.Random, terms: Sequence[int], digits: int, operators: str) -> Chain:
    """A chain that no evaluation shows."""
    while True:
        chain = draw_chain(rng, rng.choice(terms), digits, operators)
        if not chain.held_out:
            return chain


def _clean_solution(config: TinyConfig, rng: random.Random) -> tuple[str, str]:
    chain = training_chain(rng, config.clean_terms, config.digits, config.operators)
    return chain.problem().prompt, chain.solution()


def _slipping_solution(config: TinyConfig, rng: random.Random) -> tuple[str, str]:
    def slip(value: int) -> int:
        if rng.random() >= config.slip_chance:
            return value
        return value + rng.choice((-1, 1)) * rng.randint(1, config.slip_size)

    chain = training_chain(rng, config.slip_terms, config.digits, config.operators)
    return chain.problem().prompt, chain.solution(slip)
