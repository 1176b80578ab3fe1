"""Waiting for room, on plain numbers; the same on nodes that come and go is in tests/scale/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from raysgpo.config import Config, RolloutConfig, TrainerConfig
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.planning.demand import Demand
from raysgpo.planning.placement import Node
from raysgpo.session import resources as cluster_resources
from raysgpo.session.resources import room
from tests.resolved import resolved

CLUSTER = """
cluster_name: test
max_workers: 3
head_node_type: head
available_node_types:
  head: {resources: {CPU: 2}}
  gpus: {resources: {CPU: 8, GPU: 4}, labels: {role: rollout}}
"""
GPU_NODE = Node("gpus", {"CPU": 8.0, "GPU": 4.0}, id="g")
LAPTOP = Node("laptop", {"CPU": 2.0}, id="l")
GPUS = Config(rollout=RolloutConfig(gpus=4), trainer=TrainerConfig(workers=4, gpus=1))
Nodes = list[Node]


class Cluster:
    """Live nodes that appear after some looks, what others hold of them, and what the autoscaler may start."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, live: list[Nodes], types: Nodes, free: list[Nodes] | None = None
    ) -> None:
        self.looks = iter(live)
        self.there = live[-1]
        self.free = iter(free or [])
        self.asked: list[list[str]] = []
        self.withdrawn = False
        monkeypatch.setattr(cluster_resources, "live_nodes", self.look)
        monkeypatch.setattr(cluster_resources, "free_nodes", lambda: next(self.free, self.there))
        monkeypatch.setattr(cluster_resources, "_node_types", lambda: types)
        monkeypatch.setattr(cluster_resources, "NodeRequest", lambda: self)
        monkeypatch.setattr(cluster_resources.time, "sleep", lambda seconds: None)

    def look(self) -> Nodes:
        self.there = next(self.looks, self.there)
        return self.there

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.withdrawn = True

    def renew(self, wanted: Sequence[Demand], known: Sequence[Node]) -> None:
        self.asked.append([demand.what for demand in wanted for _ in range(demand.count)])


def waited(config: Config, deadline: float = 60.0) -> tuple[Config, list[str]]:
    said: list[str] = []
    config = resolved(resolve(config, overrides=[f"cluster.node_deadline={deadline}"]))
    with room(config, said.append) as placed:
        return placed, said


def test_nodes_on_their_way_are_waited_for_asked_for_and_no_longer_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, [[LAPTOP], [LAPTOP, GPU_NODE], [LAPTOP, GPU_NODE, GPU_NODE]], [GPU_NODE] * 3)
    _, said = waited(GPUS)
    assert cluster.asked == [["train worker"] * 4 + ["rollout replica", "group worker"]] * 2, "once a look"
    assert cluster.withdrawn
    assert said[0].startswith("waiting for nodes: a train worker asks for 0.5 CPU, 1 GPU and no node has that")
    assert len(said) == 2 and said[1].startswith("3 nodes without the label role: Ray puts trainer and replicas")


def test_room_that_others_hold_is_waited_for_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [Node("gpus", {"CPU": 8.0, "GPU": 1.0})]
    cluster = Cluster(monkeypatch, [[GPU_NODE]], [], free=[taken, taken])
    _, said = waited(resolve(GPUS, overrides=["rollout.gpus=2", "trainer.workers=2"]))
    assert said == [
        "waiting for room: others hold too much of the cluster; of what is free, a rollout replica asks for "
        "0.5 CPU, 2 GPU and no node has that; change rollout.cpus / rollout.gpus"
    ]
    assert not cluster.asked, "there is no autoscaler"


@pytest.mark.parametrize(
    ("most", "types", "told"),
    [
        (1, [], None),
        (3, [], "warning: with the most replicas the run asks for 16 GPU (4 train worker x 1, 3 rollout replica x 4)"),
        (3, [GPU_NODE] * 3, "warning: with the most replicas the run asks for 16 GPU"),
        (3, [GPU_NODE] * 4, None),
    ],
)
def test_a_most_that_never_has_a_place_is_told_and_started_without(
    most: int, types: Nodes, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cluster(monkeypatch, [[GPU_NODE, GPU_NODE]], types)
    _, said = waited(resolve(GPUS, overrides=[f"rollout.replicas=[1,{most}]"]))
    said = [line for line in said if "without the label" not in line]
    assert len(said) == (told is not None)
    assert told is None or (said[0].startswith(told) and "lower the most of rollout.replicas" in said[0])


def test_what_no_node_type_gives_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, [[LAPTOP]], [GPU_NODE])
    with pytest.raises(ConfigError, match=r"asks for 8 GPU .* has 4 \(all node types of the autoscaler counted\)"):
        waited(GPUS)
    assert not cluster.asked


def test_without_an_autoscaler_no_node_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, [[LAPTOP]], [])
    with pytest.raises(ConfigError, match="no node has that; change trainer"):
        waited(GPUS)


def test_machines_of_ones_own_may_have_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of such a cluster says how many there are, and not what they have."""
    Cluster(monkeypatch, [[LAPTOP], [LAPTOP, GPU_NODE, GPU_NODE]], [Node("machine", {})] * 2)
    assert waited(GPUS)[1][0].startswith("waiting for nodes: a train worker asks for 0.5 CPU, 1 GPU")


def test_waiting_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, [[LAPTOP]], [GPU_NODE] * 2)
    with pytest.raises(ConfigError, match=r"waited 0 s \(cluster.node_deadline\) for nodes: a train worker"):
        waited(GPUS, deadline=1e-9)
    assert cluster.withdrawn


def test_the_parts_are_told_their_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    head = Node("head", {"CPU": 16.0}, {"role": "head"}, "h")
    trainer, rollout = (
        Node(f"10.0.0.{n}", GPU_NODE.resources, {"role": role}, role) for n, role in ((1, "trainer"), (2, "rollout"))
    )
    Cluster(monkeypatch, [[head, trainer, rollout]], [])
    config, said = waited(GPUS)
    assert config.trainer.label_selector == {"role": "trainer"}
    assert config.rollout.label_selector == {"role": "rollout"}
    assert config.cluster.group_worker_selector == {"role": "!in(rollout)"}
    assert said == [
        "10.0.0.1 (8 CPU, 4 GPU, role=trainer): 4 train workers, 1 group worker",
        "10.0.0.2 (8 CPU, 4 GPU, role=rollout): 1 rollout replica",
    ]


def test_one_node_without_labels_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, [[GPU_NODE]], [])
    config, said = waited(resolve(GPUS, overrides=["rollout.gpus=0", "trainer.gpus=0"]))
    assert not said
    assert config.trainer.label_selector == config.rollout.label_selector == {}


def test_node_types_come_from_the_file_of_ray_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class NotKubernetes:
        def get_cluster_config(self) -> None:
            return None

    file = tmp_path / "bootstrap.yaml"
    monkeypatch.setattr(cluster_resources, "ray_state", NotKubernetes())
    monkeypatch.setattr(cluster_resources, "BOOTSTRAP_CONFIG", file)
    assert cluster_resources._node_types() == []
    file.write_text(CLUSTER)
    found = cluster_resources._node_types()
    assert [node.name for node in found] == ["head", "gpus-1", "gpus-2", "gpus-3"]
    assert found[1].labels == {"role": "rollout"}
