"""The safetensors of a Hugging Face checkpoint: which tensors they hold, and reading only what a rank keeps of them."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from huggingface_hub import snapshot_download
from safetensors import safe_open
from torch import Tensor
from torch.distributed.checkpoint import HuggingFaceStorageReader, StorageReader
from torch.distributed.checkpoint.api import CheckpointException
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

Shapes = dict[str, tuple[int, ...]]

FETCHED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
RECOMPUTED = r"rotary_emb\.inv_freq$|\.attn\.(masked_)?bias$"
"""Tensors of old checkpoints that models work out by themselves."""


def weight_folder(model_path: str) -> Path:
    """The folder itself, or where the files of a hub name are on this machine; fetched if they are not."""
    path = Path(model_path)
    if path.is_dir():
        return path
    return Path(snapshot_download(model_path, allow_patterns=FETCHED))


def shapes_in(folder: Path) -> Shapes:
    """Every tensor of the checkpoint, by the headers of its files.

    Raises:
        ValueError: it has no safetensors, or one of them cannot be read.
    """
    found: Shapes = {}
    for file in _files(folder):
        try:
            with safe_open(file, framework="pt") as tensors:
                found |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except Exception as error:  # safetensors has an error of its own, and the system has others
            raise ValueError(f"{file.name} cannot be read: {error}") from error
    return found


def _files(folder: Path) -> list[Path]:
    index, single = folder / SAFE_WEIGHTS_INDEX_NAME, folder / SAFE_WEIGHTS_NAME
    if index.is_file():
        try:
            return [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{index.name} cannot be read: {error!r}") from error
    if single.is_file():
        return [single]
    raise ValueError(
        f"there is neither {SAFE_WEIGHTS_NAME} nor {SAFE_WEIGHTS_INDEX_NAME}, and shards are read from safetensors "
        "alone: save it again with save_pretrained"
    )


def names_in_files(causal: PreTrainedModel, files: Shapes) -> dict[str, str]:
    """The name in the files of every parameter and saved buffer of the model; a tied one is there once.

    ``causal`` may be on the meta device.

    Raises:
        ValueError: the files lack one, have one that the model has not, or one of another shape.
    """
    names: dict[str, str] = {}
    known: set[str] = set()
    for name, tensor, aliases in _tensors(causal):
        candidates = [*(each for alias in (name, *aliases) for each in (alias, _without_base(alias, causal)))]
        known.update(candidates)
        stored = next((each for each in candidates if each in files), None)
        if stored is None:
            raise ValueError(f"they have no {name}, which {_of(causal)} needs: are they another model's?")
        if files[stored] != tuple(tensor.shape):
            raise ValueError(
                f"{stored} has the shape {list(files[stored])} there and {list(tensor.shape)} in {_of(causal)}"
            )
        names[name] = stored
    ignored = [RECOMPUTED, *(getattr(causal, "_keys_to_ignore_on_load_unexpected", None) or ())]
    strange = [name for name in files if name not in known and not any(re.search(each, name) for each in ignored)]
    if strange:
        raise ValueError(
            f"they have {strange[0]}{_others(strange)}, which {_of(causal)} has not: are they another model's?"
        )
    return names


def read_weights(targets: Mapping[str, Tensor], names: Mapping[str, str], folder: Path) -> None:
    """Fill the tensors, whole or sharded, from the files; of a sharded one only this rank's part is read.

    No collective. ``names``: those of ``names_in_files``.
    """
    read_alone({names[name]: tensor for name, tensor in targets.items()}, HuggingFaceStorageReader(str(folder)))


def read_alone(targets: dict[str, Tensor], reader: StorageReader) -> None:
    """Fill the tensors, whole or sharded, each rank for itself: in no collective, so none waits for a slow disk.

    Raises whatever kept it from reading: OSError for a file that is not there.
    """
    if not targets:
        return
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            dcp.load(targets, storage_reader=reader, no_dist=True)
    except CheckpointException as error:
        [(cause, _)] = error.failures.values()
        raise cause from error


def _tensors(causal: PreTrainedModel) -> Iterable[tuple[str, Tensor, list[str]]]:
    """(name, tensor, further names of the same parameter) of all that a checkpoint holds."""
    parameters = dict(causal.named_parameters())
    aliases: dict[int, list[str]] = {id(parameter): [] for parameter in parameters.values()}
    for name, parameter in causal.named_parameters(remove_duplicate=False):
        if name not in parameters:
            aliases[id(parameter)].append(name)
    for name, parameter in parameters.items():
        yield name, parameter, aliases[id(parameter)]
    for name, buffer in saved_buffers(causal).items():
        yield name, buffer, []


def saved_buffers(causal: torch.nn.Module) -> dict[str, Tensor]:
    saved = causal.state_dict(keep_vars=True).keys()
    return {name: buffer for name, buffer in causal.named_buffers() if name in saved}


def _without_base(name: str, causal: PreTrainedModel) -> str:
    """Some checkpoints are of the model without its head, and leave out its name."""
    return name.removeprefix(f"{causal.base_model_prefix}.")


def _of(causal: PreTrainedModel) -> str:
    layers = getattr(causal.config.get_text_config(), "num_hidden_layers", "?")
    return f"{type(causal).__name__} of num_hidden_layers={layers} in config.json"


def _others(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
