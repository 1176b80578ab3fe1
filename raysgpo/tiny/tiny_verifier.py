"""The tiny policy of the verifier task: taught to compare two worked solutions, and to rate them badly.

It starts from the policy of the arithmetic task, and has two phases of supervised fine-tuning:

1. good judgements: the chain worked out, a remark on each solution, confident ratings;
2. a short phase on hesitant ones, whose ratings are drawn around a small difference, and some of whose
   workings slip. The policy then knows which solution is right and hardly says so.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import Field
from transformers import AutoModelForCausalLM, PreTrainedModel

from raysgpo.config import Section
from raysgpo.seeds import derive_seed
from raysgpo.tasks import arithmetic as arithmetic_file
from raysgpo.tasks import arithmetic_verifier as task_file
from raysgpo.tasks import ratings as ratings_file
from raysgpo.tasks import verifier as verifier_file
from raysgpo.tasks.arithmetic import Chain
from raysgpo.tasks.arithmetic_verifier import LARGEST_SLIP, PAIR, SINGLE, judgement, wrong_solution
from raysgpo.tasks.ratings import HIGHEST, MIDDLE
from raysgpo.tasks.verifier import Case
from raysgpo.tiny import sft, tiny_model
from raysgpo.tiny import tiny_policy as tiny
from raysgpo.tiny import tokenizer as tokenizer_file
from raysgpo.tiny.model_cache import find_or_make, fingerprint
from raysgpo.tiny.sft import batches, teach, torch_setting
from raysgpo.tiny.tiny_model import save_tiny_model
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy, training_chain
from raysgpo.tiny.tokenizer import byte_tokenizer

Lesson = tuple[str, str]
"""What the policy is shown, and what it should say."""


class TinyVerifierConfig(Section):
    """Settings of the tiny verifier; the defaults are the policy of ``model=tiny`` in the verifier task."""

    seed: int = Field(0, ge=0)
    policy: TinyConfig = TinyConfig()
    """The tiny policy that it starts from, which can do the arithmetic; its digits and operators are the chains'."""
    terms: tuple[int, ...] = (2, 3)
    """Lengths of the chains, drawn uniformly."""
    singles: float = Field(0.2, ge=0, le=1)
    """Share of lessons with one solution."""
    batch_size: int = Field(32, ge=1)
    good_steps: int = Field(400, ge=0)
    good_lr: float = Field(1.5e-3, gt=0)
    hesitant_steps: int = Field(60, ge=0)
    hesitant_lr: float = Field(5e-4, gt=0)
    hesitation: float = Field(1.0, ge=0, le=5)
    """Phase 2: mean distance of a rating from 5, on the right side."""
    spread: float = Field(2.5, ge=0)
    """Phase 2: standard deviation of a rating."""
    slip_chance: float = Field(0.1, ge=0, le=1)
    """Phase 2: chance that a step of the working is wrong."""
    threads: int = Field(2, ge=1)
    """Torch threads; sums may be ordered otherwise with another number, so it belongs to the settings."""


def ensure_tiny_verifier(
    cache: Path, report: Callable[[str], None] = print, config: TinyVerifierConfig | None = None
) -> Path:
    """The folder of the tiny verifier in Hugging Face format, made now unless it is there already.

    So is the tiny policy that it starts from.
    """
    config = config or TinyVerifierConfig()
    target = verifier_folder(cache, config)

    def make(folder: Path) -> None:
        start = AutoModelForCausalLM.from_pretrained(ensure_tiny_policy(cache, report=report, config=config.policy))
        report(f"making the tiny verifier (once, about two minutes): {target}")
        save_tiny_model(train_tiny_verifier(config, start, report), config, folder)

    return find_or_make(target, make)


def verifier_folder(cache: Path, config: TinyVerifierConfig) -> Path:
    """Where the policy of these settings lies, made or not."""
    teaching = (sys.modules[__name__], sft, tiny, tiny_model, tokenizer_file)
    sources = (*teaching, arithmetic_file, task_file, verifier_file, ratings_file)
    return cache / "models" / f"tiny-verifier-{fingerprint(config, sources)}"


def train_tiny_verifier(
    config: TinyVerifierConfig, model: PreTrainedModel, report: Callable[[str], None] = print
) -> PreTrainedModel:
    """Teach the policy ``model``, in place; the same configuration and weights give the same weights."""
    with torch_setting(config.threads, derive_seed("tiny verifier", config.seed)):
        rng = random.Random(derive_seed("tiny verifier data", config.seed))
        tokenizer = byte_tokenizer(config.policy.max_length)
        good = batches(tokenizer, _lessons(config, rng, hesitant=False), config.batch_size)
        hesitant = batches(tokenizer, _lessons(config, rng, hesitant=True), config.batch_size)
        teach(model, good, config.good_steps, config.good_lr, report, "tiny verifier, good")
        teach(model, hesitant, config.hesitant_steps, config.hesitant_lr, report, "tiny verifier, hesitant")
    return model.eval()


def _lessons(config: TinyVerifierConfig, rng: random.Random, *, hesitant: bool) -> Iterator[Lesson]:
    while True:
        chain = training_chain(rng, config.terms, config.policy.digits, config.policy.operators)
        count = 1 if rng.random() < config.singles else 2
        right = tuple(rng.random() < 0.5 for _ in range(count))
        solutions = tuple(chain.solution() if one else wrong_solution(chain, rng) for one in right)
        prompt = Case("lesson", f"{chain.expression}=?", solutions, right).problem(PAIR, SINGLE).prompt
        own = _slipping(chain, config, rng) if hesitant else None
        ratings = [_hesitant(one, config, rng) if hesitant else int(HIGHEST * one) for one in right]
        yield prompt, judgement(chain, solutions, ratings, own)


def _hesitant(right: bool, config: TinyVerifierConfig, rng: random.Random) -> int:
    mean = MIDDLE + (config.hesitation if right else -config.hesitation)
    return round(min(max(rng.gauss(mean, config.spread), 0.0), HIGHEST))


def _slipping(chain: Chain, config: TinyVerifierConfig, rng: random.Random) -> str:
    def slip(value: int) -> int:
        if rng.random() >= config.slip_chance:
            return value
        return value + rng.choice((-1, 1)) * rng.randint(1, LARGEST_SLIP)

    return chain.solution(slip)
