"""From a checkpoint to a sharded scorer, without any rank ever holding the whole of it.

    config.json -> architecture on the meta device -> shards without content -> each rank reads its own slices

What a checkpoint does not hold (the frequencies of rotary positions) is worked out anew.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedModel

from raysgpo.config import TrainerConfig
from raysgpo.policy.layout import choose_attention
from raysgpo.policy.lora import add_adapters, start_adapters
from raysgpo.policy.model import TokenScorer, build_causal, shard
from raysgpo.policy.weight_files import names_in_files, read_weights, saved_buffers, shapes_in, weight_folder

UNSET = float("nan")


def check_loadable(model_path: str, trainer: TrainerConfig) -> PreTrainedModel:
    """The architecture, adapters included, without weights. What ``load_scorer`` would refuse is refused now; of a hub
    name by its config.

    Raises:
        ValueError: no rank could load it.
    """
    # The kernels of the workers' GPUs may not be here; a CPU's are the same everywhere.
    causal = build_causal(model_path, "eager" if trainer.gpus else trainer.attention or "eager")
    if Path(model_path).is_dir():
        _names(model_path, causal, Path(model_path))
    add_adapters(causal, trainer)
    return causal


def load_scorer(
    model_path: str, trainer: TrainerConfig, temperature: float, mesh: DeviceMesh, dtype: torch.dtype
) -> TokenScorer:
    """The checkpoint, sharded over the mesh: no rank ever holds more of it than its shard, and one tensor on its way.

    ``dtype``: of the parameters. Collective. Raises ValueError for a path that holds no model, an architecture we
    would get wrong, or weights that are not this architecture's.
    """
    causal = build_causal(model_path, choose_attention(trainer), dtype)
    folder = weight_folder(model_path)
    names = _names(model_path, causal, folder)
    buffers = _unsaved_buffers(causal, torch.device(mesh.device_type))
    add_adapters(causal, trainer)
    scorer = shard(causal, trainer, temperature, mesh)
    scorer.to_empty(device=mesh.device_type)
    causal.tie_weights()
    for name, value in buffers.items():
        causal.get_buffer(name).copy_(value)
    tensors = dict(causal.named_parameters()) | saved_buffers(causal)
    read_weights({name: tensors[name] for name in names}, names, folder)
    start_adapters(causal)
    return scorer


def _unsaved_buffers(causal: PreTrainedModel, device: torch.device) -> dict[str, Tensor]:
    """What no checkpoint holds and the model works out when it is made, as the frequencies of rotary positions."""
    saved = saved_buffers(causal)
    names = [name for name, _ in causal.named_buffers() if name not in saved]
    for module in {name.rpartition(".")[0] for name in names}:
        owner = causal.get_submodule(module)
        for name, buffer in owner.named_buffers(recurse=False):
            setattr(owner, name, torch.full_like(buffer, UNSET, device=device))
        causal._init_weights(owner)
    values = {name: causal.get_buffer(name).clone() for name in names}
    for name, value in values.items():
        if value.is_floating_point() and value.isnan().any():
            raise ValueError(f"{type(causal).__name__} does not say how its {name} is worked out: choose another model")
    return values


def _names(model_path: str, causal: PreTrainedModel, folder: Path) -> dict[str, str]:
    try:
        return names_in_files(causal, shapes_in(folder))
    except ValueError as error:
        raise ValueError(f"model={model_path}: its weights cannot be used: {error}") from error
