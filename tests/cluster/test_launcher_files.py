"""The files for ``ray up``, as Ray itself reads them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray._private.label_utils import validate_node_label_syntax, validate_node_labels
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.local import ROLES
from tests.command.test_cli import ROOT

FILES = sorted(path for path in (ROOT / "cluster").glob("*.yaml") if "provider:" in path.read_text(encoding="utf-8"))
CLOUDS = [path for path in FILES if path.stem != "on-prem"]
GPUS = {"aws-p5": (192, 33), "gcp-a3": (208, 5)}
"""vCPUs and network interfaces of a node, as the clouds' documentation has them."""


def read(file: Path) -> dict[str, Any]:
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(tree, dict)
    return tree


def prepared(tree: dict[str, Any]) -> dict[str, Any]:
    """What ``ray up`` makes of it; raises where Ray would refuse it."""
    config = prepare_config(copy.deepcopy(tree))
    validate_config(config)
    return config


def test_all_files_are_looked_at() -> None:
    assert {path.stem for path in FILES} == {"aws-p5", "gcp-a3", "on-prem"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_ray_takes_it_and_installs_nothing_beside_the_image(file: Path) -> None:
    config = prepared(read(file))
    for phase in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        assert config[phase] == [], "Ray's own defaults would install another Ray"
    assert config["docker"]["image"].endswith("raysgpo:latest")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_typo_is_refused(file: Path) -> None:
    for place, key in [((), "max_worker"), (("docker",), "run_option"), (("auth",), "user")]:
        tree = read(file)
        inner = tree
        for step in place:
            inner = inner[step]
        inner[key] = 1
        with pytest.raises(ValidationError, match=key):
            prepared(tree)


@pytest.mark.parametrize("file", CLOUDS, ids=lambda file: file.stem)
def test_a_typo_in_a_type_of_node_is_refused(file: Path) -> None:
    tree = read(file)
    tree["available_node_types"]["trainer"]["label"] = {"role": "trainer"}
    with pytest.raises(ValidationError, match="label"):
        prepared(tree)


@pytest.mark.parametrize("file", CLOUDS, ids=lambda file: file.stem)
def test_the_types_of_nodes_are_a_head_that_gives_nothing_and_whole_nodes_by_role(file: Path) -> None:
    types = prepared(read(file))["available_node_types"]
    cpus, interfaces = GPUS[file.stem]
    assert types.pop("head")["resources"] == {"CPU": 0}
    assert set(types) == {"single", *ROLES}
    for name, kind in types.items():
        assert kind["resources"] == {"CPU": cpus, "GPU": 8}
        assert kind["min_workers"] == 0, "a node comes when a run asks for it"
        assert kind.get("labels", {}) == ({} if name == "single" else {"role": name})
        node = kind["node_config"]
        assert len(node.get("NetworkInterfaces", node.get("networkInterfaces"))) == interfaces


def test_every_card_of_a_p5_has_efa_and_the_first_has_ip_too() -> None:
    node = read(ROOT / "cluster" / "aws-p5.yaml")["available_node_types"]["trainer"]["node_config"]
    ip, *efa = node["NetworkInterfaces"]
    assert (ip["NetworkCardIndex"], ip["DeviceIndex"]) == (0, 0) and "InterfaceType" not in ip
    assert [one["NetworkCardIndex"] for one in efa] == list(range(32))
    assert all(one["InterfaceType"] == "efa-only" for one in efa)
    assert all(one["SubnetId"] and one["Groups"] for one in (ip, *efa)), "Ray wants both of each"
    assert not {"SubnetId", "SubnetIds", "SecurityGroupIds"} & set(node), "and neither beside them"


@pytest.mark.parametrize("file", CLOUDS, ids=lambda file: file.stem)
def test_labels_are_ones_that_ray_takes(file: Path) -> None:
    types = prepared(read(file))["available_node_types"]
    labels = [kind["labels"] for kind in types.values() if "labels" in kind]
    assert {one["role"] for one in labels} == {"head", *ROLES}
    for one in labels:
        validate_node_labels(one)
        validate_node_label_syntax(one)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_token_is_on_and_on_every_node(file: Path) -> None:
    config = prepared(read(file))
    options = " ".join(config["docker"]["run_options"])
    assert "RAY_AUTH_MODE=token" in options
    path = options.partition("RAY_AUTH_TOKEN_PATH=")[2].split()[0]
    assert config["file_mounts"] == {path: "~/.ray/auth_token"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_nodes_see_the_folder_and_none_shows_the_dashboard(file: Path) -> None:
    config = prepared(read(file))
    assert "--volume /mnt/shared:/mnt/shared" in config["docker"]["run_options"]
    assert "mountpoint -q /mnt/shared" in config["initialization_commands"][0]
    (head,) = [line for line in config["head_start_ray_commands"] if "ray start" in line]
    assert "--dashboard-host=127.0.0.1" in head and "0.0.0.0" not in file.read_text(encoding="utf-8")
