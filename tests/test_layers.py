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

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "raysgpo"
LAYERS = {
    "raysgpo": 0,
    "raysgpo.policy": 1,
    "raysgpo.tiny": 1,
    "raysgpo.start": 1,
    "raysgpo.start.resume": 0,
    "raysgpo.studies.replay": 1,
    "raysgpo.offline.tokens": 1,
    "raysgpo.offline.collect": 2,
    "raysgpo.offline.conductor": 2,
    "raysgpo.offline.run": 2,
    "raysgpo.offline.running": 2,
    "raysgpo.conductor": 2,
    "raysgpo.serving": 2,
    "raysgpo.session": 2,
    "raysgpo.training": 2,
    "raysgpo.weights": 2,
    "raysgpo.run": 2,
}
"""Folder (or, within ``start/`` and ``offline/``, file) to its layer; the longest name that fits counts."""
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
