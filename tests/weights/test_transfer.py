"""vLLM's receiving side loads every tensor, and a tied head by whatever name vLLM has for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch

from raysgpo.weights.payload import pack
from raysgpo.weights.shared_file import SharedFile

pytestmark = pytest.mark.slow


class Model(torch.nn.Module):
    """An embedding with a head that is tied to it and keeps a copy of its own, as vLLM's CPU build does."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.embed = torch.nn.Linear(3, 2, bias=False)
        self.head = torch.nn.Linear(3, 2, bias=False)
        self.head.weight = self.embed.weight
        self.inner = torch.nn.Linear(2, 2, bias=False)
        self.prefix, self.calls = prefix, 0
        self.taken: dict[str, torch.Tensor] = {}
        for name in ("embed", "head", "inner"):
            parameter: Any = getattr(self, name).weight
            parameter.weight_loader = lambda _, tensor: self.taken.update(twin=tensor.clone())

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        self.calls += 1
        found = {name.removeprefix(self.prefix): tensor.clone() for name, tensor in weights}
        self.taken.update(found)
        return set(found)


@pytest.mark.parametrize(("prefix", "calls"), [("", 1), ("text.", 2)])
def test_all_is_loaded_at_once_unless_a_tied_tensor_has_another_name(prefix: str, calls: int) -> None:
    from raysgpo.weights.transfer import SharedMemoryEngine, SharedMemoryUpdate, tied_parameters

    engine: Any = SharedMemoryEngine.__new__(SharedMemoryEngine)
    engine.model = Model(prefix)
    engine._twins, engine.checksums = tied_parameters(engine.model), {}
    assert engine._twins == {"embed.weight": ["head.weight"]}
    engine._missing = {"embed.weight", "inner.weight"}
    sent = {f"{prefix}inner.weight": torch.eye(2), f"{prefix}embed.weight": torch.arange(6.0).reshape(2, 3)}
    with SharedFile(pack(sent.items())) as file:
        engine.receive_weights(SharedMemoryUpdate(**file.description))
    assert engine.model.calls == calls
    assert torch.equal(engine.model.taken["twin"], sent[f"{prefix}embed.weight"])
    assert engine._missing == set()
    assert engine.checksums.keys() == sent.keys()
