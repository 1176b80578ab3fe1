"""The files for Kubernetes, against KubeRay's own schemas and Serve's."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray._private.label_utils import validate_node_label_syntax
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.serve.schema import ServeDeploySchema

from cluster.local import ROLES
from raysgpo.planning.cluster_file import read_nodes
from raysgpo.serving import http_key
from tests.cluster.test_image import pins
from tests.command.test_cli import ROOT

FOLDER = ROOT / "cluster" / "kuberay"
KINDS = {"raycluster": "RayCluster", "rayjob": "RayJob", "rayservice-judge": "RayService"}
CLUSTER = {"RayCluster": (), "RayJob": ("rayClusterSpec",), "RayService": ("rayClusterConfig",)}
"""Where in the spec of each kind the cluster's lies."""


def read(name: str) -> dict[str, Any]:
    tree = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(tree, dict)
    return tree


@cache
def schema(kind: str) -> dict[str, Any]:
    with gzip.open(Path(__file__).parent / "kuberay" / f"{kind}.v1.schema.json.gz") as file:
        tree = json.load(file)
    assert isinstance(tree, dict)
    return tree


def unknown(value: Any, rules: dict[str, Any], place: str) -> Iterator[str]:
    """The fields that the schema does not have. A map whose keys are free has no ``properties``."""
    if isinstance(value, list):
        for one in value:
            yield from unknown(one, rules.get("items", {}), place)
    elif isinstance(value, dict) and "properties" in rules:
        for name, inner in value.items():
            if name in rules["properties"]:
                yield from unknown(inner, rules["properties"][name], f"{place}.{name}")
            else:
                yield f"{place}.{name}"


def check(tree: dict[str, Any]) -> list[str]:
    rules = schema(tree["kind"])
    jsonschema.Draft202012Validator(rules).validate(tree)
    return list(unknown(tree["spec"], rules["properties"]["spec"], "spec"))


def cluster(tree: dict[str, Any]) -> dict[str, Any]:
    spec = tree["spec"]
    for step in CLUSTER[tree["kind"]]:
        spec = spec[step]
    assert isinstance(spec, dict)
    return spec


def pods(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def test_all_files_are_looked_at() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*KINDS, "storage"}


@pytest.mark.parametrize("name", KINDS)
def test_kuberay_takes_it_and_knows_every_field(name: str) -> None:
    tree = read(name)
    assert (tree["apiVersion"], tree["kind"]) == ("ray.io/v1", KINDS[name])
    assert check(tree) == []


@pytest.mark.parametrize("name", KINDS)
def test_a_typo_or_a_wrong_type_is_found(name: str) -> None:
    typo = read(name)
    cluster(typo)["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["volumeMount"] = []
    assert {place.rpartition(".")[2] for place in check(typo)} == {"volumeMount"}, "in each group of the same template"
    wrong = read(name)
    cluster(wrong)["workerGroupSpecs"][0]["maxReplicas"] = "many"
    with pytest.raises(jsonschema.ValidationError, match="many"):
        check(wrong)
    missing = copy.deepcopy(read(name))
    del cluster(missing)["workerGroupSpecs"][0]["groupName"]
    with pytest.raises(jsonschema.ValidationError, match="groupName"):
        check(missing)


@pytest.mark.parametrize("name", KINDS)
def test_its_ray_is_the_image_s_with_a_token_and_autoscaler_v2(name: str) -> None:
    spec = cluster(read(name))
    assert spec["rayVersion"] == pins("gpu")["ray"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] and spec["autoscalerOptions"]["version"] == "v2"
    assert all(pod["restartPolicy"] == "Never" for pod in pods(spec)), "autoscaler v2 counts on it"


@pytest.mark.parametrize("name", KINDS)
def test_a_pod_has_what_it_asks_for_and_memory_to_share(name: str) -> None:
    for pod in pods(cluster(read(name))):
        (container,) = pod["containers"]
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        memory = mounts["/dev/shm"]["emptyDir"]
        assert memory["medium"] == "Memory"
        shared = int(memory["sizeLimit"].removesuffix("Gi"))
        # Ray's object store is 30 % of the pod's memory where /dev/shm lets it, and what is in it counts as the pod's.
        assert shared <= 0.5 * int(resources["limits"]["memory"].removesuffix("Gi"))
        assert mounts["/mnt/shared"]["persistentVolumeClaim"]["claimName"] == read("storage")["metadata"]["name"]


def test_many_pods_may_write_the_shared_folder() -> None:
    claim = read("storage")
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("name", KINDS)
def test_the_head_gives_no_cpus_and_the_roles_are_labels(name: str) -> None:
    spec = cluster(read(name))
    head = spec["headGroupSpec"]
    assert (head["rayStartParams"]["num-cpus"], head["labels"]) == ("0", {"role": "head"})
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert list(groups) == (["judge"] if name == "rayservice-judge" else ["single", *ROLES])
    for role, group in groups.items():
        labels = group.get("labels", {})
        assert labels == ({} if role == "single" else {"role": role})
        validate_node_label_syntax(labels)
        assert (group["minReplicas"], group["replicas"]) == (0, 0), "a node comes when something asks for it"


@pytest.mark.parametrize("name", KINDS)
def test_ray_s_autoscaler_reads_the_same_nodes_as_the_dry_run(name: str) -> None:
    cr = {"metadata": {"name": name, "namespace": "default"}, "spec": cluster(read(name))}
    types = _derive_autoscaling_config_from_ray_cr(cr)["available_node_types"]
    counts = {kind: 1 if kind == "headgroup" else row["max_workers"] for kind, row in types.items()}
    ray = [types[kind] for kind, count in counts.items() for _ in range(count)]
    ours = read_nodes(FOLDER / f"{name}.yaml")
    assert [({key: row["resources"].get(key, 0) for key in ("CPU", "GPU")}, row["labels"]) for row in ray] == [
        (node.resources, node.labels) for node in ours
    ]
    assert all(row["idle_timeout_s"] == 900 for kind, row in types.items() if kind != "headgroup")


def test_the_run_s_cluster_is_the_one_that_stays() -> None:
    assert cluster(read("rayjob")) == cluster(read("raycluster"))


def test_the_judge_is_an_application_that_serve_takes_behind_a_key() -> None:
    tree = read("rayservice-judge")
    deploy = ServeDeploySchema.model_validate(yaml.safe_load(tree["spec"]["serveConfigV2"]))
    (application,) = deploy.applications
    (model,) = application.args["llm_configs"]
    assert application.import_path == "ray.serve.llm:build_openai_app"
    for pod in pods(cluster(tree)):
        (container,) = pod["containers"]
        environment = {one["name"]: one for one in container["env"]}
        callback = environment["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"]["value"]
        assert callback == f"{http_key.__name__}.{http_key.require_key.__name__}"
        secret = environment[http_key.VARIABLE]["valueFrom"]["secretKeyRef"]
        assert not secret.get("optional"), "without it the proxies would not start"
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert gpus is None or int(gpus) % model["engine_kwargs"]["tensor_parallel_size"] == 0


@pytest.mark.slow
def test_the_judge_is_a_model_that_ray_serve_llm_takes() -> None:
    from ray.serve.llm import LLMServingArgs  # seconds

    serve = yaml.safe_load(read("rayservice-judge")["spec"]["serveConfigV2"])
    (model,) = LLMServingArgs.model_validate(serve["applications"][0]["args"]).llm_configs
    assert model.model_id == "judge"


@pytest.mark.parametrize("name", ["raycluster", "rayjob"])
def test_the_judge_s_key_is_on_the_head_alone(name: str) -> None:
    head, *workers = pods(cluster(read(name)))
    assert "OPENAI_API_KEY" in json.dumps(head)
    assert all("OPENAI_API_KEY" not in json.dumps(pod) for pod in workers)
