"""Our weight-transfer engine for vLLM: weights come in through a file of shared memory.

It runs inside vLLM's worker processes. vLLM finds it by name in a registry that every such process
has for itself, and it imports the class named by ``worker_extension_cls`` in each before the model is
built: importing *this* module registers the engine. (A plug-in entry point would need the package to
be installed, which ``ray job submit --working-dir`` does not do.)

On CPU, and for quantized types, vLLM repacks linear weights after loading, so that new weights cannot
be copied over the old ones; its layer-wise reload brings each layer back to checkpoint form, loads it,
repacks it and writes the result into the memory that the engine already uses.

GPU to GPU transport (NCCL, CUDA IPC) is another engine registered beside this one; the four calls
around it (pause, start, update, finish) stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from raysgpo.weights import parent_watch  # noqa: F401 (each process of an engine ends with its parent)
from raysgpo.weights.shared_file import BACKEND, read_shared


class IncompleteWeights(RuntimeError):
    """An update left some parameter of the model without new values."""


@dataclass
class SharedMemoryInit(WeightTransferInitInfo):
    """Nothing to agree on beforehand."""


@dataclass
class SharedMemoryUpdate(WeightTransferUpdateInfo):
    """Where the weights lie: the ``description`` of a ``raysgpo.weights.shared_file.SharedFile``."""

    path: str
    tensors: list[dict[str, Any]]


class SharedMemoryEngine(WeightTransferEngine[SharedMemoryInit, SharedMemoryUpdate]):
    """Loads every parameter of the model from a shared memory file, or fails."""

    init_info_cls = SharedMemoryInit
    update_info_cls = SharedMemoryUpdate
    supports_draft_weight_update = False

    checksums: dict[str, str]
    """Name to checksum of the weights loaded last, taken from the bytes that this process read."""
    _missing: set[str]
    _twins: dict[str, list[str]]

    def init_transfer_engine(self, init_info: SharedMemoryInit) -> None:
        """Nothing to set up."""

    def start_weight_update(self) -> None:
        self._twins = tied_parameters(self.model)
        initialize_layerwise_reload(self.model)
        # Named while the layers have their checkpoint form: repacking may rename parameters.
        self._missing = {name for name, _ in self.model.named_parameters()}
        self.checksums = {}

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """One chunk of weights. vLLM's own version then waits for an accelerator, and CPUs have none."""
        self.receive_weights(self.parse_update_info(update_info))
        if self.device.type != "cpu":
            torch.accelerator.synchronize()

    def receive_weights(self, update_info: SharedMemoryUpdate) -> None:
        for batch in self._batches(dict(read_shared(update_info.path, update_info.tensors))):
            loaded = set(self.model.load_weights(batch.items()))
            for name in loaded & self._twins.keys():
                tensor = batch[name] if name in batch else next(iter(batch.values()))
                for twin in self._twins[name]:
                    parameter = self.model.get_parameter(twin)
                    parameter.weight_loader(parameter, tensor)
                    loaded.add(twin)
            self._missing -= loaded
        # read_shared checked the bytes against these digests.
        digests = {entry["name"]: entry["digest"] for entry in update_info.tensors}
        self.checksums.update({name: digest for name, digest in digests.items() if digest is not None})

    def _batches(self, tensors: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """What is loaded by one call: all, for each call looks through the whole model. Where vLLM has another name for
        a tensor with twins, each by itself, so that it is known which it was."""
        if self._twins.keys() <= tensors.keys():
            return [tensors]
        return [{name: tensor} for name, tensor in tensors.items()]

    def finish_weight_update(self) -> None:
        """Repack what was loaded.

        Raises:
            IncompleteWeights: vLLM would silently keep the old values of the parameters named.
        """
        if self._missing:
            raise IncompleteWeights(f"the update brought no values for {sorted(self._missing)}")
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        """Nothing to release."""


def tied_parameters(model: torch.nn.Module) -> dict[str, list[str]]:
    """Parameter name to the other names of the same tensor, such as a head that is the embedding.

    vLLM loads only the first of them. That suffices where layers read the tensor itself, but on CPU a
    head computes from a repacked copy of its own, which would keep the old weights without a word.
    """
    first: dict[int, str] = {}
    twins: dict[str, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), name) != name:
            twins.setdefault(first[id(parameter)], []).append(name)
    return twins


class WorkerExtension:
    """Methods that vLLM adds to its workers, called by ``AsyncLLM.collective_rpc``."""

    weight_transfer_engine: SharedMemoryEngine

    def alive(self) -> bool:
        """Answers between two steps of the engine: one that hangs in a step does not."""
        return True

    def loaded_checksums(self) -> dict[str, str]:
        """Name to checksum of the weights that this worker loaded last; empty before the first update."""
        return getattr(self.weight_transfer_engine, "checksums", {})


WeightTransferEngineFactory.register_engine(BACKEND, SharedMemoryEngine)
