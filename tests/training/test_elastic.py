"""How many train workers are started: by what is free, and by what those of before still hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.train import ScalingConfig
from ray.train.v2._internal.execution.scaling_policy import NoopDecision, ResizeDecision

from raysgpo.planning.placement import Node
from raysgpo.training import elastic
from raysgpo.training.elastic import PATIENCE, FreeRoom


class Trainer:
    """Ray Train's controller on plain numbers: its clock, and the CPUs that are free on each node."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: int = 2, **selector: str) -> None:
        self.free: dict[str, float] = {}
        self.time = 1000.0
        scaling = ScalingConfig(
            num_workers=(1, 4),
            resources_per_worker={"CPU": 1},
            label_selector=selector or None,
            elastic_resize_monitor_interval_s=10,
        )
        self.policy = FreeRoom(scaling, first)
        monkeypatch.setattr(self.policy, "_maybe_send_resource_request", lambda: None)
        monkeypatch.setattr(elastic, "free_nodes", self.nodes)
        monkeypatch.setattr(elastic.time, "monotonic", lambda: self.time)

    def nodes(self) -> list[Node]:
        return [Node(name, {"CPU": cpus}, {"zone": name[0]}, name) for name, cpus in self.free.items()]

    def start(self, **free: float) -> int | None:
        self.free = free
        return self.number(self.policy.make_decision_for_non_running_worker_group())

    def watch(self, *workers: str, **free: float) -> int | None:
        """Ten seconds later; ``workers``: the node of each."""
        self.time += 10
        self.free = free
        there: Any = [SimpleNamespace(metadata=SimpleNamespace(node_id=node)) for node in workers]
        state: Any = SimpleNamespace(workers=there, num_workers=len(there))
        return self.number(self.policy.make_decision_for_running_worker_group(state, status))

    @staticmethod
    def number(decision: Any) -> int | None:
        assert isinstance(decision, NoopDecision | ResizeDecision)
        return decision.num_workers if isinstance(decision, ResizeDecision) else None


status: Any = None


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    return Trainer(monkeypatch)


def test_the_first_number_is_waited_for_and_then_given_up(trainer: Trainer) -> None:
    assert trainer.start(a=1) is None
    trainer.time += PATIENCE - 1
    assert trainer.start(a=1) is None
    trainer.time += 1
    assert trainer.start(a=1) == 1


def test_below_the_fewest_nothing_is_started_however_long(trainer: Trainer) -> None:
    for _ in range(5):
        assert trainer.start(a=0.5, b=0.5) is None
        trainer.time += PATIENCE
    assert trainer.start(a=2) == 2


def test_more_are_started_when_two_looks_agree(trainer: Trainer) -> None:
    assert trainer.start(a=2) == 2
    assert trainer.watch("a", "a", a=0, b=3) is None
    assert trainer.watch("a", "a", a=0, b=0) is None, "a replica took it"
    assert trainer.watch("a", "a", a=0, b=1) is None
    assert trainer.watch("a", "a", a=0, b=9) == 3, "what both looks saw"
    assert trainer.watch("a", "a", "b", b=9) is None
    assert trainer.watch("a", "a", "b", b=9) == 4, "the most"


def test_survivors_hold_their_places_until_they_are_started_again(trainer: Trainer) -> None:
    trainer.start(a=2)
    trainer.watch("a", "b", a=0, b=0)
    assert trainer.start(a=0) is None, "b is gone, and with it one place"
    trainer.time += PATIENCE
    assert trainer.start(a=0) == 1
    assert trainer.start(a=0) is None, "nothing is held any more"


def test_after_a_failure_there_are_no_more_than_before(trainer: Trainer) -> None:
    trainer.start(a=2)
    trainer.watch("a", "a", a=0)
    assert trainer.start(a=0, b=9) == 2


def test_only_nodes_with_the_labels_count(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(monkeypatch, zone="b")
    assert trainer.start(a=8, b=1) is None
    assert trainer.start(a=8, b=1, b2=1) == 2
