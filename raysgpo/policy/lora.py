"""Low-rank adapters (LoRA, arXiv 2106.09685): y = W x + (alpha / rank) B A x, of which A and B alone are trained.

W keeps its name, so a checkpoint of the base loads as ever. The sampler gets W + (alpha / rank) B A, and the KL
reference is the same model with its adapters off.

Shape legend: A [rank, in], B [out, rank], W [out, in].
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.functional import linear
from transformers import PreTrainedModel

from raysgpo.config import TrainerConfig
from raysgpo.policy.model import decoder_layers, whole
from raysgpo.seeds import derive_seed

ADAPTER_CONFIG = "adapter_config.json"
"""peft's name for it."""
DOWN, UP = "lora_A", "lora_B"
"""A and B, as peft calls them."""


class LoraLinear(nn.Linear):
    """A linear layer beside whose weight an adapter stands."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        """``base``: on the meta device; its weight and bias become this layer's own, and get no gradient."""
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features, device="meta"))
        self.lora_B = nn.Parameter(torch.empty(base.out_features, rank, device="meta"))
        self.scale = alpha / rank
        self.adapted = True

    def forward(self, input: Tensor) -> Tensor:
        base = super().forward(input)
        if not self.adapted:
            return base
        return base + self.scale * linear(linear(input, self.lora_A), self.lora_B)

    def merged(self) -> Tensor:
        """W + (alpha / rank) B A, whole, in float32. Collective where it is sharded."""
        return merge(whole(self.weight), whole(self.lora_A), whole(self.lora_B), self.scale)


def merge(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    return weight.float() + scale * (up.float() @ down.float())


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name is an adapter's."""
    return name.rpartition(".")[2] in (DOWN, UP)


def adapted_layers(causal: nn.Module) -> dict[str, LoraLinear]:
    return {name: module for name, module in causal.named_modules() if isinstance(module, LoraLinear)}


def add_adapters(causal: PreTrainedModel, trainer: TrainerConfig) -> None:
    """Freeze a model on the meta device, and put adapters beside the linear layers that ``trainer.lora_targets`` names.

    Without ``trainer.lora_rank`` it stays as it is.

    Raises:
        ValueError: a target is not there.
    """
    if trainer.lora_rank is None:
        return
    causal.requires_grad_(False)
    inside = {id(module) for layer in decoder_layers(causal) for module in layer.modules()}
    there = [name for name, module in causal.named_modules() if isinstance(module, nn.Linear) and id(module) in inside]
    kinds = sorted({name.rpartition(".")[2] for name in there})
    chosen = kinds if trainer.lora_targets is None else trainer.lora_targets
    if missing := sorted(set(chosen) - set(kinds)):
        raise ValueError(
            f"trainer.lora_targets={list(chosen)}: {type(causal).__name__} has no linear layer {missing[0]} in its "
            f"decoder layers; it has {', '.join(kinds) or 'none at all'}"
        )
    if not chosen:
        raise ValueError(f"trainer.lora_rank={trainer.lora_rank}: {type(causal).__name__} has no linear layer to adapt")
    for name in there:
        if name.rpartition(".")[2] in chosen:
            base = causal.get_submodule(name)
            assert isinstance(base, nn.Linear)
            causal.set_submodule(name, LoraLinear(base, trainer.lora_rank, trainer.alpha))


@torch.no_grad()
def start_adapters(causal: PreTrainedModel) -> None:
    """A from a seed, B zero: the model is its base. The same whatever the number of ranks; in no collective."""
    for name, layer in adapted_layers(causal).items():
        bound = 1 / math.sqrt(layer.in_features)  # as peft's: Kaiming's for a = sqrt(5)
        draw = torch.Generator().manual_seed(derive_seed("lora", name) % 2**63)
        down = torch.empty(layer.lora_A.shape).uniform_(-bound, bound, generator=draw)
        if isinstance(layer.lora_A, DTensor):
            down = distribute_tensor(
                down.to(layer.lora_A.device), layer.lora_A.device_mesh, layer.lora_A.placements, src_data_rank=None
            )
        layer.lora_A.copy_(down)
        layer.lora_B.zero_()


@contextmanager
def without_adapters(causal: nn.Module) -> Iterator[None]:
    """The base, of which the policy is the adapted form."""
    layers = adapted_layers(causal).values()
    for layer in layers:
        layer.adapted = False
    try:
        yield
    finally:
        for layer in layers:
            layer.adapted = True


def adapter_config(causal: PreTrainedModel, trainer: TrainerConfig, base: str) -> dict[str, Any]:
    """What peft writes beside an adapter."""
    kinds = {name.rpartition(".")[2] for name in adapted_layers(causal)}
    return {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": trainer.alpha,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": trainer.lora_rank,
        "target_modules": sorted(kinds),
        "task_type": "CAUSAL_LM",
        "use_rslora": False,
    }


def read_adapter_config(folder: Path) -> dict[str, Any] | None:
    """Of a checkpoint's model files; None if they are of no adapter."""
    file = folder / ADAPTER_CONFIG
    return json.loads(file.read_text()) if file.is_file() else None


def peft_name(name: str) -> str:
    """``model.layers.0.mlp.up_proj.lora_A`` as peft has it in its files."""
    return f"base_model.model.{name}.weight"
