"""Our weight-transfer engine for vLLM: weights come in through memory of this machine, or by broadcast.

It runs inside vLLM's worker processes. vLLM finds it by name in a registry that every such process
has for itself, and it imports the class named by ``worker_extension_cls`` in each before the model is
built: importing *this* module registers the engine. (A plug-in entry point would need the package to
be installed, which ``ray job submit --working-dir`` does not do.)

Every rank of a tensor-parallel engine gets all weights; vLLM's own loaders keep each its part.

On CPU, and for quantized types, vLLM repacks linear weights after loading, so that new weights cannot
be copied over the old ones; its layer-wise reload brings each layer back to checkpoint form, loads it,
repacks it and writes the result into the memory that the engine already uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.model_executor.model_loader.reload.layerwise import get_layerwise_info

from raysgpo.weights import parent_watch  # noqa: F401 (each process of an engine ends with its parent)
from raysgpo.weights.group import Backend, Place, WeightGroup, join
from raysgpo.weights.memory_file import TensorSpec, read_shared
from raysgpo.weights.transport import BACKEND, in_a_line


class IncompleteWeights(RuntimeError):
    """An update left some parameter of the model without new values."""


@dataclass
class Invitation(WeightTransferInitInfo):
    """To a broadcast group: ``raysgpo.weights.transport.Epoch.invitation``."""

    backend: Backend
    host: str
    port: int
    world: int
    offset: int
    """Rank of this engine's first process."""
    join_timeout: float
    timeout: float


@dataclass
class Update(WeightTransferUpdateInfo):
    """Weights in memory of this machine (``raysgpo.weights.memory_file.description``), or all by broadcast."""

    path: str = ""
    tensors: list[dict[str, Any]] = field(default_factory=list)
    broadcast: bool = False
    keep: bool = False
    """Whether to keep a copy, to which the next broadcast adds what has changed."""


class ReceivingEngine(WeightTransferEngine[Invitation, Update]):
    """Loads every parameter of the model, or fails."""

    init_info_cls = Invitation
    update_info_cls = Update
    supports_draft_weight_update = False

    checksums: dict[str, str]
    """Name to checksum of the weights loaded last, taken from the bytes that this process read."""
    problem: str | None = None
    """Why joining or a broadcast failed last. It is asked for, and not raised: of several ranks that raise, vLLM hears
    the first, and takes the word of the second for an answer to its next call."""
    _missing: set[str]
    _twins: dict[str, list[str]] | None = None
    """Of the whole model, before the first update."""
    _taken: dict[str, torch.Tensor]
    """Parameter with twins to what was loaded into it a moment ago."""
    _group: WeightGroup | None = None
    _kept: dict[str, torch.Tensor]
    """Name to tensor of the last broadcast in this group; empty where nothing is kept."""

    def init_transfer_engine(self, init_info: Invitation) -> None:
        """Leave the group of before and join another, or note the problem."""
        self.shutdown()
        self._kept = {}
        i = init_info
        rank = i.offset + self.parallel_config.rank
        try:
            self._group = join(Place(i.backend, i.host, i.port, rank, i.world, i.join_timeout, i.timeout))
        except Exception as error:
            self.problem = in_a_line(error)

    def start_weight_update(self) -> None:
        forget_half_loaded(self.model)
        if self._twins is None:  # later the model may be half loaded, and its twins apart
            self._twins = tied_parameters(self.model)
        initialize_layerwise_reload(self.model)
        # Named while the layers have their checkpoint form: repacking may rename parameters.
        self._missing = {name for name, _ in self.model.named_parameters()}
        self.checksums, self._taken = {}, {}
        for name in self._twins:
            self._watch(name)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """One piece of weights. vLLM's own version then waits for an accelerator, and CPUs have none."""
        self.receive_weights(self.parse_update_info(update_info))
        if self.device.type != "cpu":
            torch.accelerator.synchronize()

    def receive_weights(self, update_info: Update) -> None:
        """A broadcast that fails is noted as the problem; anything else that does, raises."""
        if not update_info.broadcast:
            self._load(read_shared(update_info.path, update_info.tensors))
            self._remember([TensorSpec(**entry) for entry in update_info.tensors])
            return
        try:
            assert self._group is not None, "a replica is told to receive in the group that it has joined"
            for chunk in self._group.chunks():
                self._load(chunk.tensors(self._kept if update_info.keep else None))
                self._remember(list(chunk.specs))
        except Exception as error:
            self.problem = in_a_line(error)
            self.shutdown()  # the others must not wait for this process

    def _load(self, named: list[tuple[str, torch.Tensor]]) -> None:
        """By one call of the model's, for each call looks through the whole of it."""
        self._missing -= set(self.model.load_weights(iter(named)))
        assert self._twins is not None, "start_weight_update comes first"
        for name, tensor in self._taken.items():
            for twin in self._twins[name]:
                parameter = self.model.get_parameter(twin)
                parameter.weight_loader(parameter, tensor)
                self._missing.discard(twin)
        self._taken.clear()

    def _watch(self, name: str) -> None:
        """Note what is loaded into a parameter that has twins: it may have come under another name than vLLM's."""
        parameter = self.model.get_parameter(name)
        loader = parameter.weight_loader

        @wraps(loader)  # its name too, by which the layer-wise reload knows that it is there
        def noting(target: torch.nn.Parameter, tensor: torch.Tensor, *rest: Any) -> Any:
            self._taken[name] = tensor
            return loader(target, tensor, *rest)

        parameter.weight_loader = noting

    def _remember(self, specs: list[TensorSpec]) -> None:
        """The digests of what was read: the bytes were checked against them."""
        self.checksums.update({spec.name: spec.digest for spec in specs if spec.digest is not None})

    def finish_weight_update(self) -> None:
        """Repack what was loaded.

        Raises:
            IncompleteWeights: vLLM would silently keep the old values of the parameters named.
        """
        if self._missing:
            raise IncompleteWeights(f"the update brought no values for {sorted(self._missing)}")
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        """Leave the group, if there is one."""
        if self._group is not None:
            self._group.abort()
            self._group = None


def forget_half_loaded(model: torch.nn.Module) -> None:
    """Of layers that an update which failed has begun: the next one loads them from the start."""
    for layer in model.modules():
        info = get_layerwise_info(layer)
        if info.can_load():
            info.loaded_weights.clear()
            info.load_numel = 0


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

    weight_transfer_engine: ReceivingEngine
    vllm_config: Any

    def weights_problem(self) -> str | None:
        """Why joining a group, or a broadcast, failed since it was asked for last; None if neither did."""
        engine = self.weight_transfer_engine
        problem, engine.problem = engine.problem, None
        return problem

    def begin_weights_again(self) -> None:
        """In the middle of an update that failed."""
        from vllm.config import set_current_vllm_config

        with set_current_vllm_config(self.vllm_config):
            self.weight_transfer_engine.start_weight_update()

    def loaded_checksums(self) -> dict[str, str]:
        """Name to checksum of the weights that this worker loaded last; empty before the first update."""
        return getattr(self.weight_transfer_engine, "checksums", {})


WeightTransferEngineFactory.register_engine(BACKEND, ReceivingEngine)
