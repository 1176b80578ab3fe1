"""Model and optimizer to a folder and back, whatever the number of ranks then and now.

The folder is a Hugging Face checkpoint (``AutoModelForCausalLM.from_pretrained`` reads it, vLLM
serves it) with one more file, ``optimizer.pt``. Whole-or-absent is not decided here but by
:mod:`raysgpo.output.checkpoint`, which calls this on a temporary folder.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import GENERATION_CONFIG_NAME, cached_file

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


def save(scorer: TokenScorer, optimizer: torch.optim.Optimizer, folder: Path, source: str) -> None:
    """Collective. Rank 0 writes; ``source`` is the model path whose tokenizer and generation settings go along."""
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    model_state = get_model_state_dict(scorer, options=whole)
    optimizer_state = get_optimizer_state_dict(scorer, optimizer, options=whole)
    if dist.get_rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        named = {name.removeprefix(TokenScorer.PREFIX): value for name, value in model_state.items()}
        scorer.causal.save_pretrained(folder, state_dict=named)
        torch.save(optimizer_state, folder / OPTIMIZER_FILE)
        _copy_files(source, folder)
    dist.barrier()


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
