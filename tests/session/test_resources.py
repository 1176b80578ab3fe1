"""Whether a cluster could ever hold a run, worked on plain numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.recipes.arithmetic import arithmetic
from raysgpo.conductor.stream import worker_count
from raysgpo.config import Config, RolloutConfig, TrainerConfig
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.session import resources as cluster_resources
from raysgpo.session.resources import Demand, demands, impossible, node_groups, phases, wait_for_resources

GPU_NODE = {"CPU": 8.0, "GPU": 4.0, "memory": 1e9}
LAPTOP = {"CPU": 2.0}
CLUSTER = """
cluster_name: test
max_workers: 5
available_node_types:
  head: {resources: {CPU: 2}, max_workers: 0}
  gpus: {resources: {CPU: 8, GPU: 4}, max_workers: 3}
  spare: {resources: {CPU: 1}}
  unknown: {node_config: {}}
"""


def replicas(count: int, **each: float) -> Demand:
    return Demand("rollout replica", "rollout.cpus / rollout.gpus", count, each)


def test_the_default_run_fits_on_two_cpus() -> None:
    wanted = demands(arithmetic(), cpus=2)
    assert sum(demand.count * demand.each.get("CPU", 0) for demand in wanted) <= 2
    assert all(demand.each.get("CPU", 0) > 0 for demand in wanted), "nothing is free"
    assert impossible(wanted, [LAPTOP]) is None
    assert impossible(wanted, [{"CPU": 1.0}]) is not None


def test_everything_that_the_run_reserves_is_asked_for() -> None:
    config = Config(
        prompts_per_step=300,
        max_staleness=1,
        rollout=RolloutConfig(replicas=3, cpus=2, gpus=1),
        trainer=TrainerConfig(workers=4, cpus=1, gpus=0),
    )
    found = [(demand.count, demand.each) for demand in demands(config, cpus=100)]
    # 600 groups in flight, at most 256 a worker where there is room for so many workers.
    assert found == [(3, {"CPU": 2, "GPU": 1}), (4, {"CPU": 1}), (3, {"CPU": 0.25})]


def test_the_fewest_replicas_are_needed_and_the_most_are_named() -> None:
    words = ["rollout.replicas=[2,4]", "rollout.gpus=2", "algorithm=sgpo", "judge=replicas", "judge.model=org/judge"]
    wanted = demands(resolve({}, overrides=[*words, "judge.replicas=[1,3]"]), cpus=8)
    assert impossible(wanted, [GPU_NODE]) is None
    told = impossible(wanted, [LAPTOP, {"CPU": 2.0, "GPU": 2.0}])
    assert told == "the run asks for 4 GPU (2 rollout replica (up to 4) x 2) and the cluster has 2"
    told = impossible(wanted, [{"CPU": 1.0, "GPU": 4.0}])
    assert told is not None and "2 rollout replica (up to 4) x 0.5" in told and "1 judge replica (up to 3)" in told


@pytest.mark.parametrize(("prompts", "cpus", "count"), [(32, 2, 1), (1024, 2, 2), (10_000, 2, 2), (10_000, 400, 40)])
def test_group_workers_leave_the_rest_of_the_cluster_to_others(prompts: int, cpus: float, count: int) -> None:
    assert worker_count(Config(prompts_per_step=prompts), cpus) == count


@pytest.mark.parametrize(
    ("wanted", "nodes", "message"),
    [
        ([replicas(4, CPU=1, GPU=1)], [GPU_NODE], None),
        ([replicas(8, CPU=1, GPU=1)], [GPU_NODE, GPU_NODE], None),
        (
            [replicas(1, CPU=1, GPU=8)],
            [GPU_NODE, GPU_NODE],
            "a rollout replica asks for 1 CPU, 8 GPU and no node has that; change rollout.cpus / rollout.gpus",
        ),
        (
            [replicas(3, CPU=0.5, GPU=2)],
            [GPU_NODE, LAPTOP],
            "the run asks for 6 GPU (3 rollout replica x 2) and the cluster has 4",
        ),
        ([replicas(1, CPU=1, GPU=1)], [LAPTOP, {"GPU": 4.0}], "a rollout replica asks for 1 CPU, 1 GPU and no node"),
        ([replicas(1, CPU=1)], [], "a rollout replica asks for 1 CPU and no node has that"),
    ],
)
def test_what_cannot_be_is_told_with_the_setting(
    wanted: list[Demand], nodes: list[dict[str, float]], message: str | None
) -> None:
    found = impossible(wanted, nodes)
    assert found == message if message is None else (found or "").startswith(message)


def test_node_groups_of_a_cluster_file() -> None:
    assert node_groups(yaml.safe_load(CLUSTER)) == [
        ({"CPU": 2}, 0),
        ({"CPU": 8, "GPU": 4}, 3),
        ({"CPU": 1}, 5),
        ({}, 5),
    ]
    assert node_groups({}) == []


def test_an_offline_run_needs_its_phases_one_at_a_time() -> None:
    """Replicas and trainer take turns, so what online would need two of these nodes runs on one."""
    words = ["mode=offline", "algorithm=sgpo", "judge=replicas", "judge.model=org/judge"]
    config = resolve(GPUS, overrides=words)
    collecting, training = phases(config, cpus=2)
    assert [demand.what for demand in collecting] == ["rollout replica", "judge replica"]
    assert [demand.what for demand in training] == ["train worker"]
    assert all(impossible(wanted, [GPU_NODE]) is None for wanted in (collecting, training))
    alone = resolve(config, overrides=["offline.groups=groups.jsonl", "evaluation.every=0", "judge=rule"])
    assert [[demand.what for demand in wanted] for wanted in phases(alone, cpus=2)] == [[], ["train worker"]]
    assert impossible(demands(config, cpus=2), [GPU_NODE]) is not None and phases(GPUS, cpus=2) == [
        demands(GPUS, cpus=2)
    ]


class Cluster:
    """Live nodes that appear after some looks, and what the autoscaler may start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, live: list[list[dict[str, float]]], types: Any) -> None:
        self.looks = iter(live)
        self.last = live[-1]
        self.asked = 0
        monkeypatch.setattr(cluster_resources, "_live_nodes", lambda: next(self.looks, self.last))
        monkeypatch.setattr(cluster_resources, "_node_types", lambda: types)
        monkeypatch.setattr(cluster_resources, "_ask_autoscaler", self.ask)
        monkeypatch.setattr(cluster_resources.time, "sleep", lambda seconds: None)

    def ask(self, wanted: list[Demand]) -> None:
        self.asked += 1


GPUS = Config(rollout=RolloutConfig(gpus=4), trainer=TrainerConfig(gpus=4))


def test_nodes_on_their_way_are_waited_for_and_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, [[LAPTOP], [LAPTOP, GPU_NODE], [LAPTOP, GPU_NODE, GPU_NODE]], [GPU_NODE] * 3)
    said: list[str] = []
    wait_for_resources(GPUS, 60, said.append)
    assert cluster.asked == 1
    [line] = said
    assert line.startswith("waiting for nodes: a rollout replica asks for 0.5 CPU, 4 GPU")


@pytest.mark.parametrize(
    ("most", "types", "told"),
    [
        (1, [], None),
        (3, [], "warning: with the most replicas the run asks for 16 GPU (3 rollout replica x 4, 1 train worker x 4)"),
        (3, [GPU_NODE] * 3, "warning: with the most replicas the run asks for 16 GPU"),
        (3, [GPU_NODE] * 4, None),
    ],
)
def test_a_most_that_never_has_a_place_is_told_and_started_without(
    most: int, types: Any, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cluster(monkeypatch, [[GPU_NODE, GPU_NODE]], types)
    said: list[str] = []
    wait_for_resources(resolve(GPUS, overrides=[f"rollout.replicas=[1,{most}]"]), 60, said.append)
    assert len(said) == (told is not None)
    assert told is None or (said[0].startswith(told) and "lower the most of rollout.replicas" in said[0])


def test_what_no_node_type_gives_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, [[LAPTOP]], [GPU_NODE])
    with pytest.raises(ConfigError, match=r"asks for 8 GPU .* has 4 \(all node types of the autoscaler counted\)"):
        wait_for_resources(GPUS, 60, lambda line: None)
    assert cluster.asked == 0


def test_without_an_autoscaler_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, [[LAPTOP]], [])
    with pytest.raises(ConfigError, match="no node has that; change rollout"):
        wait_for_resources(GPUS, 60, lambda line: None)


def test_waiting_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, [[LAPTOP]], [GPU_NODE] * 2)
    with pytest.raises(ConfigError, match="waited 0 s for nodes: a rollout replica"):
        wait_for_resources(GPUS, 0, lambda line: None)


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
    assert [found.count({"CPU": 2}), found.count({"CPU": 8, "GPU": 4}), found.count({"CPU": 1})] == [0, 3, 5]
