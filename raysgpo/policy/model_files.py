"""Model and optimizer to a folder and back, whatever the number of ranks then and now.

The folder is a Hugging Face checkpoint (``AutoModelForCausalLM.from_pretrained`` reads it, vLLM
serves it) with one more file, ``optimizer.pt``. Whole-or-absent is not decided here but by
:mod:`raysgpo.output.checkpoint`, which calls this on a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import GENERATION_CONFIG_NAME, cached_file

from raysgpo.output.whole_file import writing
from raysgpo.policy.model import TokenScorer

OPTIMIZER_FILE = "optimizer.pt"
TOKENIZER_FILES = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "*.tiktoken",
    "*.model",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Model and optimizer in the memory of rank 0; of the other ranks it has nothing."""

    causal: PreTrainedModel
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    source: str
    """The model path whose tokenizer and generation settings go along."""

    @classmethod
    def take(cls, scorer: TokenScorer, optimizer: torch.optim.Optimizer, source: str) -> Snapshot:
        """Collective."""
        whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
        model_state = get_model_state_dict(scorer, options=whole)
        optimizer_state = get_optimizer_state_dict(scorer, optimizer, options=whole)
        named = {name.removeprefix(TokenScorer.PREFIX): value for name, value in model_state.items()}
        return cls(scorer.causal, named, optimizer_state, source)

    def write(self, folder: Path) -> None:
        """Rank 0 alone, however long it takes: no other rank waits in a collective.

        Raises:
            WriteFailed: there is no room for it.
        """
        assert dist.get_rank() == 0, "the other ranks have nothing to write"
        with writing(folder, self._bytes), _system_errors():
            folder.mkdir(parents=True, exist_ok=True)
            self.causal.save_pretrained(folder, state_dict=self.model)
            with (folder / OPTIMIZER_FILE).open("wb") as file:
                torch.save(self.optimizer, file)
            _copy_files(self.source, folder)

    @property
    def _bytes(self) -> int:
        moments = (value for state in self.optimizer["state"].values() for value in state.values())
        tensors = [value for value in (*self.model.values(), *moments) if isinstance(value, Tensor)]
        return sum(tensor.nbytes for tensor in tensors)


@contextmanager
def _system_errors() -> Iterator[None]:
    """What the libraries that write for us make of a full disk is the system's error again."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        inner, named = error.__context__, re.search(r"\(os error (\d+)\)", str(error))
        number = int(named[1]) if named else inner.errno if isinstance(inner, OSError) else None
        if number is None:
            raise
        raise OSError(number, os.strerror(number)) from error


def load(scorer: TokenScorer, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Collective. Rank 0 reads and broadcasts."""
    if not (folder / OPTIMIZER_FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no {OPTIMIZER_FILE}: it is not a checkpoint of a policy")
    model_state: dict[str, Any] = {}
    optimizer_state: dict[str, Any] = {}
    if dist.get_rank() == 0:
        saved = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model_state = {TokenScorer.PREFIX + name: value for name, value in saved.state_dict().items()}
        optimizer_state = torch.load(folder / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True, broadcast_from_rank0=True)
    set_model_state_dict(scorer, model_state, options=whole)
    set_optimizer_state_dict(scorer, optimizer, optimizer_state, options=whole)


def _copy_files(source: str, folder: Path) -> None:
    """Byte for byte from a folder; from a hub name by way of transformers."""
    if not Path(source).is_dir():
        AutoTokenizer.from_pretrained(source).save_pretrained(folder)
        with contextlib.suppress(OSError):  # it has none
            shutil.copyfile(cached_file(source, GENERATION_CONFIG_NAME), folder / GENERATION_CONFIG_NAME)
        return
    for pattern in (*TOKENIZER_FILES, GENERATION_CONFIG_NAME):
        for file in Path(source).glob(pattern):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
