"""A checkpoint as a Hugging Face folder, which transformers, vLLM and every other tool read.

It is made from files alone, one after the other, so it takes as much memory as one file of weights, and as many
processes as there are may each make some of them. Adapters are added to the weights of their base; by themselves, as
peft has them, they are in ``adapter/``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint import FileSystemReader
from transformers import PreTrainedModel
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from raysgpo.output.whole_file import sync, writing
from raysgpo.policy.lora import ADAPTER_CONFIG, DOWN, UP, is_adapter, merge, peft_name, read_adapter_config
from raysgpo.policy.model import build_causal
from raysgpo.policy.snapshot import MODEL, SHARDS, WEIGHTS, stored_tensors, system_errors
from raysgpo.policy.weight_files import (
    names_in_files,
    read_alone,
    read_weights,
    saved_buffers,
    shapes_in,
    weight_folder,
)

FILE_BYTES = 5 * 2**30
"""A file of weights is at most this large, or one tensor."""

ADAPTER = "adapter"

Files = dict[str, list[str]]
"""The name of a file to those of its tensors."""


def export(checkpoint: Path, folder: Path, dtype: str) -> None:
    """By this process alone.

    Raises:
        FileNotFoundError: ``checkpoint`` is none of a run.
        WriteFailed: there is no room for it; ``folder`` is not there then.
    """
    try:
        begin(checkpoint, folder, dtype)
        write_files(checkpoint, folder, dtype)
        finish(checkpoint, folder, dtype)
    except Exception:
        give_up(folder)
        raise


def begin(checkpoint: Path, folder: Path, dtype: str) -> None:
    """One process: everything but the weights.

    Raises:
        FileNotFoundError: ``checkpoint`` is none of a run.
    """
    partial = _partial(folder)
    stored_tensors(checkpoint)  # refuses what is none
    with writing(folder, 0):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file in (checkpoint / MODEL).iterdir():
            if file.name != ADAPTER_CONFIG:  # beside whole weights it would be added to them once more
                shutil.copyfile(file, partial / file.name)
        config = json.loads((partial / CONFIG_NAME).read_text())
        config.pop("torch_dtype", None)  # what "dtype" was called before
        (partial / CONFIG_NAME).write_text(json.dumps({**config, "dtype": dtype}, indent=2) + "\n")


def write_files(checkpoint: Path, folder: Path, dtype: str, part: int = 0, parts: int = 1) -> None:
    """Each of ``parts`` processes: its files of weights."""
    weights = _weights(checkpoint, dtype)
    files = _files(weights)
    for name in list(files)[part::parts]:
        tensors = {each: _empty(weights[each]) for each in files[name]}
        read = _read if read_adapter_config(checkpoint / MODEL) is None else _read_merged
        read(checkpoint, tensors)
        with writing(folder, sum(each.nbytes for each in tensors.values())), system_errors():
            save_file(tensors, _partial(folder) / name, metadata={"format": "pt"})


def finish(checkpoint: Path, folder: Path, dtype: str) -> None:
    """One process, after all have written; one that was there is replaced."""
    weights = _weights(checkpoint, dtype)
    partial, files = _partial(folder), _files(weights)
    with writing(folder, 0):
        if list(files) != [SAFE_WEIGHTS_NAME]:
            total = sum(each.nbytes for each in weights.values())
            weight_map = {tensor: name for name, tensors in files.items() for tensor in tensors}
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            (partial / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n")
        _write_adapter(checkpoint, partial / ADAPTER)
        for file in partial.rglob("*"):
            sync(file)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
        sync(folder.parent)


def give_up(folder: Path) -> None:
    """Free the room that was taken since ``begin``."""
    shutil.rmtree(_partial(folder), ignore_errors=True)


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def _weights(checkpoint: Path, dtype: str) -> dict[str, Tensor]:
    """On the meta device: what is not a floating-point number keeps its type."""
    if read_adapter_config(checkpoint / MODEL) is None:
        whole = _stored(checkpoint)
    else:
        causal = _architecture(checkpoint)
        whole = dict(causal.named_parameters()) | saved_buffers(causal)
    number = getattr(torch, dtype)
    return {name: each.to(number) if each.is_floating_point() else each for name, each in whole.items()}


def _stored(checkpoint: Path) -> dict[str, Tensor]:
    """What was trained, on the meta device."""
    return {
        name.removeprefix(WEIGHTS): torch.empty(stored.size, dtype=stored.properties.dtype, device="meta")
        for name, stored in stored_tensors(checkpoint).items()
        if name.startswith(WEIGHTS)
    }


def _architecture(checkpoint: Path) -> PreTrainedModel:
    return build_causal(str(checkpoint / MODEL), "eager")


def _read(checkpoint: Path, tensors: dict[str, Tensor]) -> None:
    """Fill the tensors with what was trained, in their own type."""
    stored = {WEIGHTS + each: tensor for each, tensor in tensors.items()}
    read_alone(stored, FileSystemReader(checkpoint / SHARDS))


def _read_merged(checkpoint: Path, tensors: dict[str, Tensor]) -> None:
    """Fill the tensors with the base's, and what was trained beside them added."""
    settings = read_adapter_config(checkpoint / MODEL)
    assert settings is not None, "there is nothing to add"
    folder = weight_folder(settings["base_model_name_or_path"])
    names = names_in_files(_architecture(checkpoint), shapes_in(folder))
    low = {name: each for name, each in _adapters(checkpoint).items() if f"{name.rpartition('.')[0]}.weight" in tensors}
    _read(checkpoint, low)
    scale = settings["lora_alpha"] / settings["r"]
    adapted = {f"{name.rpartition('.')[0]}.weight" for name in low}
    read_weights({name: tensor for name, tensor in tensors.items() if name not in adapted}, names, folder)
    for name in adapted:
        tensor, module = tensors[name], name.removesuffix(".weight")
        exact = torch.empty_like(tensor, dtype=torch.float32)
        read_weights({name: exact}, names, folder)
        tensor.copy_(merge(exact, low[f"{module}.{DOWN}"], low[f"{module}.{UP}"], scale))


def _write_adapter(checkpoint: Path, folder: Path) -> None:
    """In peft's format, if it is one."""
    settings = read_adapter_config(checkpoint / MODEL)
    if settings is None:
        return
    low = _adapters(checkpoint)
    _read(checkpoint, low)
    folder.mkdir()
    (folder / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2) + "\n")
    with system_errors():
        named = {peft_name(name): tensor for name, tensor in low.items()}
        save_file(named, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _adapters(checkpoint: Path) -> dict[str, Tensor]:
    """Room for them."""
    return {name: _empty(each) for name, each in _stored(checkpoint).items() if is_adapter(name)}


def _empty(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="cpu")


def _files(weights: Mapping[str, Tensor]) -> Files:
    parts = list(_fitting(weights))
    if len(parts) == 1:
        return {SAFE_WEIGHTS_NAME: parts[0]}
    stem = SAFE_WEIGHTS_NAME.removesuffix(".safetensors")
    return {
        f"{stem}-{number:05d}-of-{len(parts):05d}.safetensors": names for number, names in enumerate(parts, start=1)
    }


def _fitting(weights: Mapping[str, Tensor]) -> Iterator[list[str]]:
    names: list[str] = []
    taken = 0
    for name, tensor in weights.items():
        if names and taken + tensor.nbytes > FILE_BYTES:
            yield names
            names, taken = [], 0
        names.append(name)
        taken += tensor.nbytes
    yield names
