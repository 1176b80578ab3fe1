"""The nodes of a cluster's file, in the three ways in which people write one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from raysgpo.config.overrides import ConfigError
from raysgpo.planning.cluster_file import ray_up_nodes, read_nodes

RAY_UP = """
cluster_name: test
max_workers: 5
head_node_type: head
available_node_types:
  head: {resources: {CPU: 2}, max_workers: 0, labels: {role: head}}
  gpus: {resources: {CPU: 8, GPU: 4}, max_workers: 3, labels: {role: trainer}}
  spare: {resources: {CPU: 1}}
  unknown: {node_config: {}}
"""
KUBERAY = """
apiVersion: ray.io/v1
kind: RayJob
spec:
  rayClusterSpec:
    headGroupSpec:
      rayStartParams: {num-cpus: "0"}
      template: {spec: {containers: [{resources: {limits: {cpu: 4}}}]}}
    workerGroupSpecs:
      - groupName: trainer
        replicas: 1
        maxReplicas: 2
        labels: {role: trainer}
        rayStartParams: {}
        template: {spec: {containers: [{resources: {limits: {cpu: 7500m, nvidia.com/gpu: 8}}}]}}
      - groupName: rollout
        replicas: 1
        rayStartParams: {labels: "role=rollout,zone=a"}
        template: {spec: {containers: [{resources: {limits: {cpu: "16", nvidia.com/gpu: 4}}}]}}
"""


def test_nodes_of_ray_up() -> None:
    nodes = ray_up_nodes(yaml.safe_load(RAY_UP))
    found = [(node.name, node.resources, node.labels) for node in nodes]
    assert found[0] == ("head", {"CPU": 2}, {"role": "head"})
    assert found[1:4] == [(f"gpus-{n}", {"CPU": 8, "GPU": 4}, {"role": "trainer"}) for n in (1, 2, 3)]
    assert [name.partition("-")[0] for name, *_ in found[4:]] == ["spare"] * 5 + ["unknown"] * 5
    assert ray_up_nodes({}) == []


def test_nodes_of_kuberay(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(KUBERAY)
    assert [(node.name, node.resources, node.labels) for node in read_nodes(file)] == [
        ("head", {"CPU": 0, "GPU": 0}, {}),
        ("trainer-1", {"CPU": 7.5, "GPU": 8}, {"role": "trainer"}),
        ("trainer-2", {"CPU": 7.5, "GPU": 8}, {"role": "trainer"}),
        ("rollout", {"CPU": 16, "GPU": 4}, {"role": "rollout", "zone": "a"}),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "describes no cluster: give the YAML of ray up"),
        ("kind: Pod", "describes no cluster"),
        ("kind: RayCluster", "not readable as a cluster: KeyError 'spec'"),
        ("{", "while parsing"),
        ("available_node_types: {a: {max_workers: many}}", "not readable as a cluster: ValueError"),
    ],
)
def test_what_describes_no_cluster_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_nodes(file)
    assert str(caught.value).startswith(f"--cluster {file}: ") and told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--cluster .*none\.yaml: .*No such file"):
        read_nodes(tmp_path / "none.yaml")
