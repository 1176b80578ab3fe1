"""A checkpoint as a Hugging Face folder, which transformers, vLLM and every other tool read.

It is made from the checkpoint's files alone, file by file, so it takes as much memory as one file of weights, and as
many processes as there are may each make some of them.
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
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from raysgpo.output.whole_file import sync, writing
from raysgpo.policy.snapshot import MODEL, SHARDS, WEIGHTS, stored_tensors, system_errors
from raysgpo.policy.weight_files import read_alone

FILE_BYTES = 5 * 2**30
"""A file of weights is at most this large, or one tensor."""

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
    stored_tensors(checkpoint)
    with writing(folder, 0):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file in (checkpoint / MODEL).iterdir():
            shutil.copyfile(file, partial / file.name)
        config = json.loads((partial / CONFIG_NAME).read_text())
        config.pop("torch_dtype", None)  # what "dtype" was called before
        (partial / CONFIG_NAME).write_text(json.dumps({**config, "dtype": dtype}, indent=2) + "\n")


def write_files(checkpoint: Path, folder: Path, dtype: str, part: int = 0, parts: int = 1) -> None:
    """Each of ``parts`` processes: its files of weights."""
    weights = _weights(checkpoint, dtype)
    files = _files(weights)
    for name in list(files)[part::parts]:
        tensors = {each: torch.empty_like(weights[each], device="cpu") for each in files[name]}
        stored = {WEIGHTS + each: tensor for each, tensor in tensors.items()}
        read_alone(stored, FileSystemReader(checkpoint / SHARDS))
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
        for file in partial.iterdir():
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
    weights = {}
    for name, stored in stored_tensors(checkpoint).items():
        if name.startswith(WEIGHTS):
            kept = stored.properties.dtype
            number = getattr(torch, dtype) if kept.is_floating_point else kept
            weights[name.removeprefix(WEIGHTS)] = torch.empty(stored.size, dtype=number, device="meta")
    return weights


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
