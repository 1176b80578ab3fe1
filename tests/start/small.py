"""A model and a task of the smallest size, for tests of the preparation."""

from __future__ import annotations

from pathlib import Path

import torch

from raysgpo.tiny.tiny_model import build_tiny_model, save_tiny_model
from raysgpo.tiny.tiny_policy import TinyConfig

SMALL = ["task.prompts=20", "evaluation.prompts=5", "task.terms=[3,4]", "sampling.max_tokens=40", "prompts_per_step=4"]


def shape_of(max_length: int) -> TinyConfig:
    """Of a model whose context is so many tokens."""
    return TinyConfig(hidden_size=8, intermediate_size=8, layers=1, heads=1, max_length=max_length)


def untrained(folder: Path, shape: TinyConfig) -> Path:
    """A checkpoint of that shape in the folder."""
    with torch.random.fork_rng():
        save_tiny_model(build_tiny_model(shape.shape), shape, folder)
    return folder
