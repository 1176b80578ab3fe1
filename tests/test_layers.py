"""The layers hold: imports point down only, and the lower two import without Ray and vLLM.

L0 knows no Ray, vLLM, torch or transformers; L1 may know torch and transformers; L2 all.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysgpo.config.task_kinds import TASK_KINDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "raysgpo"
LAYERS = {
    "raysgpo": 0,
    "raysgpo.policy": 1,
    "raysgpo.planning": 1,
    "raysgpo.tiny": 1,
    "raysgpo.start": 1,
    "raysgpo.start.resume": 0,
    "raysgpo.studies.replay": 1,
    "raysgpo.studies.judge_quality.running_judge": 2,
    "raysgpo.offline.tokens": 1,
    "raysgpo.offline.collect": 2,
    "raysgpo.offline.recorded_source": 2,
    "raysgpo.offline.run": 2,
    "raysgpo.offline.running": 2,
    "raysgpo.command.compare": 1,
    "raysgpo.command.evaluate": 2,
    "raysgpo.command.evaluate_judge": 2,
    "raysgpo.command.export": 1,
    "raysgpo.command.notebook": 2,
    "raysgpo.command.offline": 2,
    "raysgpo.command.replay": 1,
    "raysgpo.command.sft": 2,
    "raysgpo.command.train": 2,
    "raysgpo.conductor": 2,
    "raysgpo.serving": 2,
    "raysgpo.session": 2,
    "raysgpo.training": 2,
    "raysgpo.weights": 2,
    "raysgpo.run": 2,
    "raysgpo.remote": 2,
    "raysgpo.nodes": 2,
}
"""Folder (or file within ``command/``, ``start/``, ``offline/`` and ``studies/``) to its layer; the longest name that
fits counts."""
FORBIDDEN = {0: {"ray", "vllm", "torch", "transformers"}, 1: {"ray", "vllm"}, 2: set()}

# Refuses the blocked packages wherever they are asked for, also by an import within an import.
BLOCKED_IMPORT = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
for name in sys.argv[2].split(","):
    importlib.import_module(name)
"""


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def layer(name: str) -> int:
    while name not in LAYERS:
        name = name.rpartition(".")[0]
    return LAYERS[name]


def imported(name: str, file: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, anywhere in it, with the line. Type-only imports count too."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            # "from package import module" names the module too.
            yield base, node.lineno
            yield from (
                (f"{base}.{alias.name}", node.lineno) for alias in node.names if f"{base}.{alias.name}" in MODULES
            )


def violations(name: str, file: Path) -> list[str]:
    found = []
    for target, line in imported(name, file):
        top = target.partition(".")[0]
        if top in FORBIDDEN[layer(name)]:
            found.append(f"{name}:{line} (L{layer(name)}) imports {target}")
        if top == "raysgpo" and layer(target) > layer(name):
            found.append(f"{name}:{line} (L{layer(name)}) imports {target} (L{layer(target)})")
        if top in ("jobs", "tests"):
            found.append(f"{name}:{line} imports {target}: only jobs and tests may")
    return found


def test_the_package_is_found() -> None:
    assert {layer(name) for name in MODULES} == {0, 1, 2}
    assert "raysgpo.config" in MODULES and "raysgpo.groups.stages" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down_only(name: str) -> None:
    assert not violations(name, MODULES[name])


def test_the_paths_in_the_table_of_tasks_point_down_too() -> None:
    for row in TASK_KINDS.values():
        modules = [path.partition(":")[0] for path in (row.factory, row.tiny) if path is not None]
        assert set(modules) <= set(MODULES)
        assert layer(modules[0]) == 0, "a task is built without torch"
        assert all(layer(name) <= layer("raysgpo.tiny.embedded") for name in modules)


def room(name: str) -> str:
    """The folder of ``raysgpo`` that a module lies in, or its own name."""
    return ".".join(name.split(".")[:2])


def doors() -> dict[str, set[str]]:
    """Each room to the rooms that it imports from."""
    found: dict[str, set[str]] = {room(name): set() for name in MODULES}
    for name, file in MODULES.items():
        # "from raysgpo.x import y" names a module of x where y is one.
        targets = {room(target) for target, _ in imported(name, file) if target.startswith("raysgpo.")}
        found[room(name)] |= targets - {room(name)}
    return found


def circles(graph: dict[str, set[str]]) -> set[str]:
    """The rooms that can be come back to through others."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = set(graph[start])
        while ahead:
            seen |= ahead
            ahead = {target for one in ahead for target in graph[one]} - seen
        return seen

    return {one for one in graph if one in reachable(one)}


def test_no_room_can_be_come_back_to() -> None:
    graph = doors()
    assert len(graph) > 15 and sum(map(len, graph.values())) > 80, "the scan sees the house"
    assert circles(graph) == set()
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {"a", "b", "c"}


def test_few_modules_lie_outside_of_a_folder() -> None:
    loose = [file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__"]
    assert sorted(loose) == ["imports", "nodes", "records", "remote", "run", "seeds"]


def test_the_scan_sees_an_upward_import(tmp_path: Path) -> None:
    file = tmp_path / "window.py"
    file.write_text("def f():\n    from raysgpo import serving\n    import torch.nn\n    from jobs import train\n")
    assert [text.partition(" ")[0] for text in violations("raysgpo.groups.window", file)] == [
        "raysgpo.groups.window:2",
        "raysgpo.groups.window:3",
        "raysgpo.groups.window:4",
    ]


def run_blocked(blocked: set[str], names: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED_IMPORT, ",".join(sorted(blocked)), ",".join(names)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 1])
def test_a_layer_imports_with_what_it_must_not_know_blocked(level: int) -> None:
    result = run_blocked(FORBIDDEN[level], [name for name in MODULES if layer(name) == level])
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_block_blocks() -> None:
    result = run_blocked({"json"}, ["raysgpo", "json.decoder"])
    assert result.returncode != 0 and "json is blocked" in result.stderr
