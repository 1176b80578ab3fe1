"""Model and optimizer to a folder and back, each rank its own shards, whatever the number of ranks then and now.

    policy/    what is trained and AdamW's moments, by torch.distributed.checkpoint: __RANK_*.distcp and .metadata
    model/     config.json, tokenizer and settings of generation, so that a checkpoint can be exported by itself; of
               adapters, adapter_config.json, which names the model that they belong to

Whole-or-absent is decided in :mod:`raysgpo.output.checkpoint`, and who writes when in
:mod:`raysgpo.training.checkpoints`.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict
from transformers import PreTrainedModel

from raysgpo.output.whole_file import WriteFailed, writing
from raysgpo.policy.lora import ADAPTER_CONFIG
from raysgpo.policy.model import TokenScorer, training_device
from raysgpo.policy.model_folder import write_model_files
from raysgpo.policy.weight_files import read_alone, saved_buffers

SHARDS = "policy"
MODEL = "model"
WEIGHTS, MOMENTS = "model.", "optimizer."
"""What the names of a checkpoint's tensors begin with."""
ANOTHER = "it is of another model: give back the one that the run began with, or start a new run"


class Stager:
    """A rank's place in host memory for what is being written; it is kept, since fresh memory is slow to come by."""

    def __init__(self) -> None:
        on_gpu = torch.cuda.is_available()
        self._stager = DefaultStager(
            StagingOptions(
                use_pinned_memory=on_gpu,
                use_shared_memory=False,
                use_async_staging=False,
                use_non_blocking_copy=on_gpu,
            )
        )

    def copy(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Valid until the next copy. By whichever thread: each has a GPU of its own, the first if nobody says."""
        if (device := training_device()).type == "cuda":
            torch.cuda.set_device(device)
        return self._stager.stage(tensors)


class Snapshot:
    """This rank's shards of model and optimizer as they are now. They may not change before ``wait`` returns."""

    def __init__(
        self,
        scorer: TokenScorer,
        optimizer: torch.optim.Optimizer,
        source: str,
        adapter: dict[str, Any] | None = None,
    ) -> None:
        """``source``: the model path whose tokenizer and settings go along; ``adapter``: see ``adapter_config``, where
        adapters are trained, and they alone. Nothing is copied yet."""
        self._tensors = tensors_of(scorer, optimizer)
        self._source, self._adapter = source, adapter
        self._staged = threading.Event()

    @property
    def bytes(self) -> int:
        """Of all ranks."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    def stage(self, stager: Stager) -> None:
        """Copy them, by whichever thread."""
        try:
            self._tensors = stager.copy(self._tensors)
        finally:
            self._staged.set()

    def wait(self) -> None:
        """Return once they are copied, or that has failed."""
        self._staged.wait()

    def write_model_files(self, folder: Path) -> None:
        """One rank, in no collective: what goes along.

        Raises:
            WriteFailed: it had no room for it.
        """
        with writing(folder, self.bytes):
            write_model_files(self._source, folder / MODEL)
            if self._adapter is not None:
                (folder / MODEL / ADAPTER_CONFIG).write_text(json.dumps(self._adapter, indent=2) + "\n")

    def write(self, folder: Path, group: dist.ProcessGroup | None = None) -> list[Path]:
        """Collective over ``group``, which must know CPU tensors: this rank's part of the files, brought to disk.

        Raises:
            WriteFailed: some rank had no room for it; it is raised on every rank.
        """
        shards = folder / SHARDS
        try:
            with writing(folder, self.bytes):
                dcp.save(dict(self._tensors), storage_writer=_Writer(shards), process_group=group)
        except CheckpointException as error:
            raise _cause(error, folder, self.bytes) from error
        mine = sorted(shards.glob(f"__{dist.get_rank(group)}_*"))
        return [*mine, shards / ".metadata"] if dist.get_rank(group) == 0 else mine


class _Writer(FileSystemWriter):
    """What torch makes of a full disk is the system's error again, before it goes to the other ranks."""

    def write_data(self, *arguments: Any, **named: Any) -> Any:
        with system_errors():
            return super().write_data(*arguments, **named)

    def finish(self, *arguments: Any, **named: Any) -> None:
        with system_errors():
            super().finish(*arguments, **named)


@contextmanager
def system_errors() -> Iterator[None]:
    """What the libraries that write for us make of a full disk is an OSError with its number again."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        inner, named = error.__context__, re.search(r"\(os error (\d+)\)", str(error))
        number = int(named[1]) if named else inner.errno if isinstance(inner, OSError) else None
        if number is None:
            raise
        raise OSError(number, os.strerror(number)) from error


def _cause(error: CheckpointException, folder: Path, wanted: int) -> BaseException:
    """What happened on the first rank that failed."""
    rank, (failure, _) = min(error.failures.items(), key=lambda item: item[0])
    if isinstance(failure, OSError):
        return WriteFailed.of(failure, folder, wanted)
    return RuntimeError(f"rank {rank} could not write its part of {folder}: {failure!r}")


def tensors_of(scorer: TokenScorer, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that a run goes on from, by the names it has in a checkpoint; the tensors are the live ones.

    An optimizer that has made no step gets its moments here.
    """
    options = StateDictOptions(flatten_optimizer_state_dict=True)
    moments = get_optimizer_state_dict(scorer, optimizer, options=options)
    prefix = f"state.{TokenScorer.PREFIX}"
    return {name: value.detach() for name, value in _weights(scorer.causal).items()} | {
        MOMENTS + name.removeprefix(prefix): value for name, value in moments.items() if name.startswith(prefix)
    }


def load(scorer: TokenScorer, optimizer: torch.optim.Optimizer, checkpoint: Path) -> None:
    """Each rank reads its own slices, in no collective.

    Raises:
        FileNotFoundError: the folder holds no checkpoint of a policy.
        ValueError: it is of another architecture.
    """
    check_fit(checkpoint, scorer.causal)
    read_alone(tensors_of(scorer, optimizer), FileSystemReader(checkpoint / SHARDS))


def stored_tensors(checkpoint: Path) -> dict[str, TensorStorageMetadata]:
    """Size and type of every tensor that a checkpoint holds.

    Raises:
        FileNotFoundError: it holds none.
    """
    if not (checkpoint / SHARDS / ".metadata").is_file():
        raise FileNotFoundError(f"{checkpoint} holds no {SHARDS}/.metadata: it is not a checkpoint of a run")
    stored = FileSystemReader(checkpoint / SHARDS).read_metadata().state_dict_metadata
    return {name: each for name, each in stored.items() if isinstance(each, TensorStorageMetadata)}


def check_fit(checkpoint: Path, causal: PreTrainedModel) -> None:
    """Refuse a checkpoint of another architecture, or of another number of layers. The model may be on the meta device.

    Raises:
        FileNotFoundError: it is no checkpoint.
        ValueError: with the first tensor that differs.
    """
    stored = {name: tuple(each.size) for name, each in stored_tensors(checkpoint).items() if name.startswith(WEIGHTS)}
    needed = {name: tuple(each.shape) for name, each in _weights(causal).items()}
    for name, shape in needed.items():
        if stored.get(name) != shape:
            there = f"has the shape {list(stored[name])} there" if name in stored else "is not in it"
            raise ValueError(f"{checkpoint}: {name} of the shape {list(shape)} {there}; {ANOTHER}")
    if strange := sorted(stored.keys() - needed.keys()):
        raise ValueError(f"{checkpoint}: it holds {strange[0]}, which the model has not; {ANOTHER}")


def _weights(causal: PreTrainedModel) -> dict[str, Tensor]:
    trained = {name: parameter for name, parameter in causal.named_parameters() if parameter.requires_grad}
    tensors = trained | saved_buffers(causal)
    return {WEIGHTS + name: tensor for name, tensor in tensors.items()}
