"""What the policy's tests share: small random checkpoints, random sequences, a process group of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from transformers import PreTrainedConfig, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig
from raysgpo.output.metrics import Metrics
from raysgpo.policy.layout import Layout, Size
from raysgpo.policy.micro_batches import plan_micro_batches
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.policy.snapshot import Stager

Build = Callable[..., Policy]
Sequences = Callable[..., list[TrainSequence]]
Shares = Callable[..., list[Share]]
"""The fixtures ``build``, ``sequences`` and ``shares``."""

VOCABULARY = 261
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    # Larger than usual, so that a random model has opinions.
    "initializer_range": 0.3,
}


def known(metrics: Metrics, name: str) -> float:
    """A metric that every update has."""
    value = metrics[name]
    assert value is not None, f"{name} is None"
    return value


def learned(metrics: Metrics) -> Metrics:
    """Without what only says how it was computed."""
    return {name: value for name, value in metrics.items() if name != "policy/padding"}


def saved(policy: Policy, folder: Path) -> list[Path]:
    """What a snapshot of this process alone writes there."""
    snapshot = policy.snapshot()
    snapshot.stage(Stager())
    snapshot.write_model_files(folder)
    return snapshot.write(folder)


def checkpoint(folder: Path, model_class: type, config: PreTrainedConfig) -> str:
    torch.manual_seed(7)
    model_class(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text('{"stands for": "a tokenizer"}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return str(folder)


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random Qwen2 checkpoint with a tied head."""
    config = Qwen2Config(**SIZES, tie_word_embeddings=True, attention_dropout=0.1)
    return checkpoint(tmp_path_factory.mktemp("qwen2"), Qwen2ForCausalLM, config)


@pytest.fixture(scope="session")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random Qwen3 checkpoint with a head of its own."""
    config = Qwen3Config(**SIZES, head_dim=8, tie_word_embeddings=False)
    return checkpoint(tmp_path_factory.mktemp("qwen3"), Qwen3ForCausalLM, config)


@pytest.fixture(scope="session")
def one_rank() -> Iterator[None]:
    """A process group of one, in this process."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def build(one_rank: None) -> Build:
    """build(model_path, lr=..., kl=..., temperature=..., total_updates=..., surrogate=..., **trainer settings)."""

    def make(
        model_path: str,
        lr: float = 1e-3,
        kl: float = 0.0,
        temperature: float = 1.0,
        total_updates: int = 10,
        optimizer: dict[str, Any] | None = None,
        surrogate: str = "clip",
        **trainer: Any,
    ) -> Policy:
        return Policy.build(
            model_path,
            TrainerConfig(**{"dtype": "float32", **trainer}),
            OptimizerConfig(lr=lr, **(optimizer or {})),
            AlgorithmConfig(kl_coefficient=kl, surrogate=surrogate),
            temperature,
            total_updates,
            world=1,
        )

    return make


@pytest.fixture(scope="session")
def sequences() -> Sequences:
    """sequences(count, seed): see ``_sequences``."""
    return _sequences


@pytest.fixture(scope="session")
def groups() -> Sequences:
    """groups(count, size, seed): see ``_groups``."""
    return _groups


@pytest.fixture(scope="session")
def shares() -> Shares:
    """shares(sequences, world, budget=, layout=, step=): see ``_shares``."""
    return _shares


def _sequences(count: int, seed: int) -> list[TrainSequence]:
    """Random sequences of 6 to 30 tokens with off-policy sampler logprobs; the last bears guidance."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length, prompt = int(draw.integers(6, 31)), int(draw.integers(1, 5))
        answer_T = np.arange(length) >= prompt
        sampled_T = answer_T & (np.arange(length) >= prompt + 2) if number == count - 1 else answer_T
        weight_T = np.where(sampled_T, draw.uniform(0.5, 1.5), 0.3) * answer_T
        made.append(
            TrainSequence(
                token_ids_T=draw.integers(0, VOCABULARY, length).astype(np.int32),
                loss_weight_T=weight_T.astype(np.float32),
                advantages_T=np.full(length, draw.normal(), dtype=np.float32),
                logprobs_T=np.where(sampled_T, draw.normal(-6, 1.5, length), 0).astype(np.float32),
                sampled_T=sampled_T,
            )
        )
    return made


def _groups(count: int, size: int, seed: int) -> list[TrainSequence]:
    """Random groups: ``size`` answers of 2 to 24 tokens to each of ``count`` prompts of 8 to 24; the last of each bears
    guidance, so that its first scored token is not the one behind the prompt."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        prompt_T = draw.integers(0, VOCABULARY, int(draw.integers(8, 25)))
        for answer in range(size):
            given = 2 if answer == size - 1 else 0
            length = len(prompt_T) + given + int(draw.integers(2, 25))
            sampled_T = np.arange(length) >= len(prompt_T) + given
            made.append(
                TrainSequence(
                    token_ids_T=np.append(prompt_T, draw.integers(0, VOCABULARY, length - len(prompt_T))).astype(
                        np.int32
                    ),
                    loss_weight_T=np.where(sampled_T, draw.uniform(0.5, 1.5), 0).astype(np.float32),
                    advantages_T=np.full(length, draw.normal(), dtype=np.float32),
                    logprobs_T=np.where(sampled_T, draw.normal(-6, 1.5, length), 0).astype(np.float32),
                    sampled_T=sampled_T,
                    prompt_length=len(prompt_T),
                )
            )
    return made


def _shares(
    sequences: list[TrainSequence], world: int = 1, budget: int = 4096, layout: Layout = "padded", step: int = 0
) -> list[Share]:
    """The step over these sequences, one Share a rank."""
    groups = [s.token_ids_T[: s.prompt_length].tobytes() for s in sequences]
    sizes = [Size(len(s), s.prompt_length, groups.index(group)) for s, group in zip(sequences, groups, strict=True)]
    plan = plan_micro_batches(sizes, world, budget, layout)
    tokens = int(sum(s.sampled_T.sum() for s in sequences))
    return [Share(step, [[sequences[i] for i in cut] for cut in rank], 100.0, tokens) for rank in plan]
