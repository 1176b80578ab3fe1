"""The tiny policy of the embedded default: built from a seed, taught chained arithmetic, cached.

Supervised fine-tuning in two phases makes a policy that knows the arithmetic and makes mistakes by
chance, which is what reinforcement can mend (a policy that is wrong out of ignorance stays flat):

1. clean solutions of short chains, to near certainty;
2. a short phase on solutions in which most steps slip, each carried on from its mistake.

Shape legend: _B sequences of a batch, _T tokens (padded).
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from raysgpo.config import Section
from raysgpo.policy import tokenizer as tokenizer_file
from raysgpo.policy.tokenizer import VOCABULARY_SIZE, byte_tokenizer
from raysgpo.seeds import derive_seed
from raysgpo.tasks import arithmetic as arithmetic_file
from raysgpo.tasks.arithmetic import Chain, draw_chain

_IGNORED = -100
"""The label of a token without loss."""


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


def ensure_tiny_policy(
    storage_root: Path,
    seed: int = 0,
    report: Callable[[str], None] = print,
    config: TinyConfig | None = None,
) -> Path:
    """The folder of the tiny policy in Hugging Face format, made now unless it is there already.

    It lies under ``storage_root/models`` and is named by its settings and by the code that makes it.
    It appears complete or not at all: written to a folder of its own, then renamed.
    """
    config = config or TinyConfig(seed=seed)
    models = storage_root / "models"
    target = models / f"tiny-{_fingerprint(config)}"
    if target.is_dir():
        return target
    models.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=models))
    try:
        report(f"making the tiny policy (once, about two minutes): {target}")
        save_tiny_policy(train_tiny_policy(config, report), config, building)
        building.chmod(0o755)
        building.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another process finished the same policy first
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def save_tiny_policy(model: PreTrainedModel, config: TinyConfig, folder: Path) -> None:
    """Model, tokenizer, generation settings, and the settings that made them (``tiny.json``)."""
    model.save_pretrained(folder)
    byte_tokenizer(config.max_length).save_pretrained(folder)
    (folder / "tiny.json").write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")


def build_tiny_model(config: TinyConfig) -> PreTrainedModel:
    """An untrained policy in fp32; its weights follow from torch's global seed."""
    tokenizer = byte_tokenizer(config.max_length)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            head_dim=config.hidden_size // config.heads,
            max_position_embeddings=config.max_length,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    return model


def train_tiny_policy(config: TinyConfig, report: Callable[[str], None] = print) -> PreTrainedModel:
    """Build and teach the policy; the same configuration gives the same weights."""
    with _torch_setting(config.threads, derive_seed("tiny policy", config.seed)):
        model = build_tiny_model(config)
        rng = random.Random(derive_seed("tiny data", config.seed))
        clean = (_clean_solution(config, rng) for _ in iter(int, 1))
        slips = (_slipping_solution(config, rng) for _ in iter(int, 1))
        _teach(model, clean, config.clean_steps, config.clean_lr, config, report, "clean")
        _teach(model, slips, config.slip_steps, config.slip_lr, config, report, "slips")
    return model.eval()


def _teach(
    model: PreTrainedModel,
    texts: Iterator[tuple[str, str]],
    steps: int,
    lr: float,
    config: TinyConfig,
    report: Callable[[str], None],
    name: str,
) -> None:
    """``steps`` AdamW steps on (prompt, response) pairs; short warm-up, linear decay to zero."""
    tokenizer = byte_tokenizer(config.max_length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.01)
    warm_up = max(1, steps // 20)
    start = time.monotonic()
    model.train()
    for step in range(1, steps + 1):
        pairs = [next(texts) for _ in range(config.batch_size)]
        ids_BT, labels_BT = _batch(tokenizer, pairs)
        for group in optimizer.param_groups:
            group["lr"] = lr * min(step / warm_up, (steps - step + 1) / (steps - warm_up + 1))
        # Right padding under causal attention needs no mask: no real token sees a padding token.
        logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
        loss = cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=_IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 200 == 0 or step == steps:
            seconds = time.monotonic() - start
            report(f"tiny policy, {name}: step {step}/{steps}, loss {loss.item():.4f}, {seconds:.0f} s")


def _batch(tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(prompt, response) pairs to token ids and labels [_B, _T]; only the response carries loss."""
    rows: list[tuple[list[int], int]] = []
    for prompt, response in pairs:
        turn = [{"role": "user", "content": prompt}]
        head = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        head_ids = tokenizer.encode(head)
        rows.append(([*head_ids, *tokenizer.encode(response), tokenizer.eos_token_id], len(head_ids)))
    longest = max(len(ids) for ids, _ in rows)
    ids_BT = torch.full((len(rows), longest), tokenizer.pad_token_id)
    labels_BT = torch.full((len(rows), longest), _IGNORED)
    for index, (ids, head_length) in enumerate(rows):
        ids_BT[index, : len(ids)] = torch.tensor(ids)
        labels_BT[index, head_length : len(ids)] = torch.tensor(ids[head_length:])
    return ids_BT, labels_BT


def _training_chain(config: TinyConfig, rng: random.Random, terms: tuple[int, ...]) -> Chain:
    """A chain that no evaluation shows."""
    while True:
        chain = draw_chain(rng, rng.choice(terms), config.digits, config.operators)
        if not chain.held_out:
            return chain


def _clean_solution(config: TinyConfig, rng: random.Random) -> tuple[str, str]:
    chain = _training_chain(config, rng, config.clean_terms)
    return chain.problem().prompt, chain.solution()


def _slipping_solution(config: TinyConfig, rng: random.Random) -> tuple[str, str]:
    def slip(value: int) -> int:
        if rng.random() >= config.slip_chance:
            return value
        return value + rng.choice((-1, 1)) * rng.randint(1, config.slip_size)

    chain = _training_chain(config, rng, config.slip_terms)
    return chain.problem().prompt, chain.solution(slip)


@contextmanager
def _torch_setting(threads: int, seed: int) -> Iterator[None]:
    """Seed torch and set its threads, and put both back afterwards."""
    threads_before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)


def _fingerprint(config: TinyConfig) -> str:
    """Twelve hex digits of the settings and of the source files that turn them into weights."""
    digest = hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode())
    for file in (__file__, tokenizer_file.__file__, arithmetic_file.__file__):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:12]
