"""vLLM's receiving side loads every tensor, and a tied head by whatever name vLLM has for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch

from raysgpo.weights.memory_file import description
from tests.weights.publishing import written

pytestmark = pytest.mark.slow


class Model(torch.nn.Module):
    """An embedding with a head that is tied to it and keeps a copy of its own, as vLLM's CPU build does; what is loaded
    goes through the parameters' loaders, as vLLM's models do it."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.embed = torch.nn.Linear(3, 2, bias=False)
        self.head = torch.nn.Linear(3, 2, bias=False)
        self.head.weight = self.embed.weight
        self.inner = torch.nn.Linear(2, 2, bias=False)
        self.prefix, self.calls = prefix, 0
        self.taken: list[torch.Tensor] = []
        for parameter in (self.embed.weight, self.inner.weight):
            loaded: Any = parameter
            loaded.weight_loader = lambda _, tensor: self.taken.append(tensor.clone())

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        self.calls += 1
        names = set()
        for name, tensor in weights:
            own = name.removeprefix(self.prefix)
            parameter: Any = self.get_parameter(own)
            parameter.weight_loader(parameter, tensor)
            names.add(own)
        return names


@pytest.mark.parametrize("prefix", ["", "text."])
def test_all_is_loaded_at_once_and_a_tied_tensor_by_whatever_name(prefix: str) -> None:
    from raysgpo.weights.transfer import ReceivingEngine, Update, tied_parameters

    engine: Any = ReceivingEngine.__new__(ReceivingEngine)
    engine.model = Model(prefix)
    engine._twins, engine.checksums, engine._taken = tied_parameters(engine.model), {}, {}
    assert engine._twins == {"embed.weight": ["head.weight"]}
    engine._watch("embed.weight")
    engine._missing = {"embed.weight", "inner.weight", "head.weight"}
    sent = {f"{prefix}inner.weight": torch.eye(2), f"{prefix}embed.weight": torch.arange(6.0).reshape(2, 3)}
    file, manifest = written(sent.items())
    with file:
        engine.receive_weights(Update(**description(file.path, manifest.tensors)))
    assert engine.model.calls == 1
    embed = sent[f"{prefix}embed.weight"]
    assert [tensor.tolist() for tensor in engine.model.taken] == [x.tolist() for x in (torch.eye(2), embed, embed)]
    assert engine._missing == set()
    assert engine.checksums.keys() == sent.keys()
