"""The built wheel in an empty environment: it brings the command and the recipes, nothing beside raysgpo, and trains.

The environment gets the pinned packages as ``make`` takes them. Nothing of this checkout is on its path.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from raysgpo.config.command_name import word
from raysgpo.output.json_lines import read_rows
from tests.command.test_cli import NAMES, ROOT

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(3600)]
PINNED = ROOT / "requirements" / "cpu.txt"
REWARD = "def brief(text):\n    return -0.001 * len(text)\n"


def ran(*words: str | Path, folder: Path) -> str:
    """The output of a command that must succeed, started in ``folder`` without our paths."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "RAY_ADDRESS")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | {"RAY_ADDRESS": "local"}
    result = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, timeout=3000
    )
    assert result.returncode == 0, f"{words}: {result.stdout[-3000:]}{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would have of this checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    names = ran("git", "ls-files", "--cached", "--others", "--exclude-standard", folder=ROOT).splitlines()
    for name in (name for name in names if (ROOT / name).is_file()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        out,
    ]
    ran(*pip, source, folder=source)
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment that has the pinned packages and the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    ran(sys.executable, "-m", "venv", folder, folder=folder)
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
    ran(*pip, "torch==2.13.0+cpu", folder=folder)
    ran(*pip, "-r", PINNED, folder=folder)
    ran(*pip, wheel, folder=folder)
    return folder / "bin"


def test_the_wheel_holds_raysgpo_and_nothing_else(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert "raysgpo" in tops and {top for top in tops if not top.endswith(".dist-info")} == {"raysgpo"}
    assert {f"raysgpo/recipes/{name}.py" for name in NAMES} < set(names)
    assert {"raysgpo/__init__.pyi", "raysgpo/studies/comparison/report.html.j2"} < set(names)
    data = {file for ending in ("j2", "css", "json") for file in (ROOT / "raysgpo" / "studies").rglob(f"*.{ending}")}
    assert len(data) > 7 and {str(file.relative_to(ROOT)) for file in data} < set(names)
    kept = {str(file.relative_to(ROOT)) for file in (ROOT / "raysgpo").rglob("*.py")}
    assert kept == {name for name in names if name.endswith(".py")}


def test_the_installed_command_trains_with_a_reward_of_ones_own(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "brief.py").write_text(REWARD)
    (tmp_path / "cell.py").write_text(
        "from raysgpo import Config, train\n"
        f"few = dict(steps=1, name='cell', storage='{tmp_path}', prompts_per_step=4)\n"
        "print('FOLDER', train(Config(**few, reward='brief.py:brief', evaluation={'prompts': 8})))\n"
    )
    command = environment / "raysgpo"
    assert f" {word('evaluate_judge')} " in ran(command, "--help", folder=tmp_path)
    few = ["steps=2", "prompts_per_step=4", "evaluation.prompts=8", f"storage={tmp_path}", "name=mine"]
    ran(command, "train", "arithmetic", "reward=brief.py:brief", *few, folder=tmp_path)
    run = tmp_path / "runs" / "mine-001"
    assert [row["step"] for row in read_rows(run / "metrics.jsonl")] == [0, 1]
    parts = [one["reward_parts"] for row in read_rows(run / "groups.jsonl") for one in row["rollouts"]]
    assert parts and all(set(part) == {"correctness", "brief"} for part in parts)
    assert f"FOLDER {tmp_path}/runs/cell-001" in ran(environment / "python", "cell.py", folder=tmp_path)
