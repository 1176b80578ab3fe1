"""The nodes of each file hold each recipe, with the numbers that the table at its top asks for, and not with fewer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import local
from raysgpo.config.cluster import ROLES
from raysgpo.planning.cluster_file import read_nodes
from raysgpo.planning.demand import demands
from raysgpo.planning.placement import Node, impossible, place
from raysgpo.recipes import RECIPES
from tests.command.test_cli import ROOT

FILES = [
    ROOT / "cluster" / name for name in ("aws-p5.yaml", "gcp-a3.yaml", "kuberay/raycluster.yaml", "kuberay/rayjob.yaml")
]
SIZES = ("sgpo_7b", "sgpo_14b", "sgpo_32b")
TYPES = ("single", "trainer", "rollout")


def table(file: Path) -> dict[str, dict[str, int]]:
    """Recipe to the nodes of each type, as the comment says."""
    text = file.read_text(encoding="utf-8")
    found = re.findall(r"^#   (sgpo_\w+) .*?(\d+) +(\d+) +(\d+)$", text, re.MULTILINE)
    return {name: dict(zip(TYPES, map(int, numbers), strict=True)) for name, *numbers in found}


def nodes(file: Path, most: dict[str, int], folder: Path) -> list[Node]:
    """Of the file, with so many nodes of each type."""
    tree: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if "available_node_types" in tree:
        for name, count in most.items():
            tree["available_node_types"][name]["max_workers"] = count
    else:
        spec = tree["spec"].get("rayClusterSpec", tree["spec"])
        for group in spec["workerGroupSpecs"]:
            group["maxReplicas"] = most.get(group["groupName"], 0)
    changed = folder / "changed.yaml"
    changed.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return read_nodes(changed)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("recipe", SIZES)
def test_the_nodes_of_the_table_hold_the_recipe_and_one_fewer_does_not(file: Path, recipe: str, tmp_path: Path) -> None:
    most = table(file)[recipe]
    there = nodes(file, most, tmp_path)
    wanted = demands(RECIPES.load(recipe), sum(node.resources.get("CPU", 0) for node in there))
    assert impossible(wanted, there) is None
    gpus = sum(demand.count * demand.each.get("GPU", 0) for demand in wanted)
    assert gpus == sum(node.resources.get("GPU", 0) for node in there), "no GPU is paid for nothing"
    for name, count in most.items():
        if count:
            fewer = nodes(file, most | {name: count - 1}, tmp_path)
            assert impossible(wanted, fewer) is not None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_trainer_and_replicas_have_nodes_of_their_own(file: Path, tmp_path: Path) -> None:
    there = nodes(file, table(file)["sgpo_32b"], tmp_path)
    placed = place(demands(RECIPES.load("sgpo_32b"), 4 * 160), there)
    assert placed is not None
    for node, counts in placed:
        role = node.labels["role"]
        ranks, replicas = counts.get("train worker", 0), counts.get("rollout replica", 0)
        assert (ranks, replicas) == {"head": (0, 0), "trainer": (8, 0), "rollout": (0, 4)}[role]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_as_it_stands_a_file_is_for_7b(file: Path, tmp_path: Path) -> None:
    assert read_nodes(file) == nodes(file, table(file)["sgpo_7b"], tmp_path)


def test_the_roles_are_the_run_s() -> None:
    assert {"head", *local.ROLES} == set(ROLES)


def test_the_local_cluster_holds_the_default_run() -> None:
    there = [Node("head", {"CPU": 0.0}, {"role": "head"})]
    arguments = local._parser().parse_args(["up"])
    there += [Node(role, {"CPU": float(arguments.cpus)}, {"role": role}) for role in arguments.nodes]
    assert impossible(demands(RECIPES.load("arithmetic"), 2.0 * arguments.cpus), there) is None
