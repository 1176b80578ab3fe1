"""The command line: exit codes, what it prints, and that it decides before anything heavy is imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from raysgpo.command.configure import JOBS, Mode
from raysgpo.config.overrides import ConfigError, dotted_keys, dump, load, resolve
from raysgpo.recipes import RECIPES

ROOT = Path(__file__).parents[2]
NAMES = sorted(file.stem for file in (ROOT / "raysgpo" / "recipes").glob("[!_]*.py"))
HEAVY = ("ray", "torch", "vllm", "transformers")
REPORT_IMPORTS = f"""
import atexit, runpy, sys
atexit.register(lambda: print("imported", [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """``jobs/train.py`` as a user runs it; the last line of stderr says which heavy packages it imported."""
    line = [sys.executable, "-c", REPORT_IMPORTS, str(ROOT / "jobs" / "train.py"), *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, cwd="/")


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The entry point as a module."""
    monkeypatch.syspath_prepend(str(ROOT))
    from raysgpo.command import train

    return train


def run(train: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    return int(train.main())


@pytest.mark.slow
def test_help_lists_recipes_and_keys_without_heavy_imports() -> None:
    result = command("--help")
    assert result.returncode == 0
    assert result.stderr.splitlines()[-1] == "imported []"
    keys = list(dotted_keys())
    settings = {key for key in keys if not any(other.startswith(f"{key}.") for other in keys)}
    assert f"recipes: {', '.join(NAMES)}\n" in result.stdout
    listed = result.stdout.partition("settings and their defaults:\n")[2]
    shown = re.findall(r"^  ([a-z0-9_.]+)=", listed, re.MULTILINE)
    assert len(settings) > 60 and sorted(shown) == sorted(settings)


@pytest.mark.slow
def test_a_wrong_setting_ends_with_2_and_one_line_without_heavy_imports() -> None:
    result = command("arithmetic", "sampling.temprature=1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "error: sampling.temprature: unknown key; did you mean sampling.temperature?",
        "imported []",
    ]


@pytest.mark.slow
def test_dry_run_prints_a_configuration_that_gives_itself_again(tmp_path: Path) -> None:
    first = command("arithmetic", "--dry-run", "task.terms=4", "optimizer.lr=3e-5", "sampling.stop=['\n\n']")
    assert first.returncode == 0 and first.stderr.splitlines()[-1] == "imported []"
    file = tmp_path / "config.yaml"
    file.write_text(first.stdout)
    assert load(file)["task"]["terms"] == [4] and load(file)["optimizer"]["lr"] == 3e-5
    assert command("--config", str(file), "--dry-run").stdout == first.stdout


def test_words_may_stand_before_and_after_the_options(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for words in (["math", "seed=3", "--dry-run", "steps=7"], ["math", "steps=7", "seed=3", "--dry-run"]):
        assert run(train, monkeypatch, *words) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and "seed: 3\n" in shown[0] and "steps: 7\n" in shown[0]


def test_a_file_alone_is_enough_and_words_win_over_it(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 5\nsteps: 6\n")
    assert run(train, monkeypatch, "steps=7", "--config", str(file), "--dry-run") == 0
    out = capsys.readouterr().out
    assert "seed: 5\n" in out and "steps: 7\n" in out and "name: run\n" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [],
            f"name a recipe ({', '.join(NAMES)}) or give --config FILE",
        ),
        (
            ["arithmatic"],
            f"arithmatic: no such recipe; choose from {', '.join(NAMES)}",
        ),
        (["arithmetic", "seed"], "'seed': expected key=value"),
        (["arithmetic", "sampling.group_size=1"], "set sampling.group_size to 2 or more"),
        (["--config", "/nowhere.yaml"], "--config /nowhere.yaml: no such file"),
        (["resume=none-001", "storage=/nowhere"], "resume=none-001: no run there"),
        (
            ["resume=none-001", "storage=hdfs://name/x"],
            "storage=hdfs://name/x: hdfs:// is not supported: give a folder",
        ),
        (["arithmetic", "storage=http://host/x"], "storage=http://host/x: http:// is not supported: give a folder"),
        (["arithmetic", "name=../x"], "name=../x: a run's name begins with a letter or digit"),
        (["arithmetic", "resume=none-001"], "settings that the run was started with: leave out arithmetic"),
        (["resume=none-001", "--config", "a.yaml"], "settings that the run was started with: leave out --config"),
    ],
)
def test_bad_words_end_with_2_and_say_why(
    words: list[str],
    message: str,
    train: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(train, monkeypatch, *words, "--dry-run") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["judge=endpoint", "judge.base_url=http://x/v1", "judge.model=m"], "judge.api_key_env=OPENAI_API_KEY: that"),
        (["judge=replicas", "judge.model=/no/such"], "judge.model=/no/such: no such folder"),
        (["model=/no/such"], "model=/no/such: no such folder"),
    ],
)
def test_what_is_missing_is_named_before_anything_starts(
    words: list[str],
    message: str,
    train: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert run(train, monkeypatch, "arithmetic", *words) == 2
    assert message in capsys.readouterr().err
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert run(train, monkeypatch, "arithmetic", *words, "--dry-run") == 0
    assert "sk-1" not in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_possible(name: str) -> None:
    config = RECIPES.load(name)
    needed = ["seed=1"] if config.task.kind.startswith("arithmetic") else ["seed=1", "task.path=rows.jsonl"]
    assert resolve(config, overrides=needed).seed == 1 and config.name == name.replace("_", "-")


def test_a_recipe_is_not_looked_for_outside_the_folder() -> None:
    with pytest.raises(ConfigError, match="no such recipe"):
        RECIPES.load("__init__")


@pytest.fixture
def offline(train: ModuleType) -> ModuleType:
    """The other entry point as a module."""
    from raysgpo.command import offline

    return offline


def test_an_offline_run_of_a_recipe_counts_its_steps_from_the_groups(
    offline: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(offline, monkeypatch, "arithmetic", "--dry-run", "offline.epochs=2") == 0
    shown = capsys.readouterr().out
    assert {"mode: offline", "name: arithmetic-offline", "steps: null", "  epochs: 2.0"} <= set(shown.splitlines())
    file = tmp_path / "config.yaml"
    file.write_text(shown.replace("steps: null", "steps: 9"))
    assert run(offline, monkeypatch, "--config", str(file), "--dry-run") == 0
    assert capsys.readouterr().out == file.read_text(), "its own file says everything"


@pytest.mark.parametrize(
    ("words", "surrogate", "weight"),
    [
        ([], "log_prob", 0.5),
        (["algorithm=sgpo"], "log_prob", 0.5),
        (["algorithm=sgpo", "algorithm.negative_weight=1"], "log_prob", 1.0),
        (["algorithm.surrogate=clip", "algorithm=sgpo", "algorithm.surrogate=clip"], "clip", 1.0),
        (["algorithm.surrogate=cispo"], "cispo", 1.0),
        (["algorithm=gspo", "offline.keep=positive"], "clip_sequence", 1.0),
    ],
)
def test_an_offline_run_trains_without_a_ratio_unless_one_is_asked_for(
    offline: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    surrogate: str,
    weight: float,
) -> None:
    assert run(offline, monkeypatch, "arithmetic", "--dry-run", *words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert {f"  surrogate: {surrogate}", f"  negative_weight: {weight}"} <= set(shown)


def test_a_run_belongs_to_the_command_that_began_it(
    train: ModuleType,
    offline: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "runs" / "run-001"
    folder.mkdir(parents=True)
    others: dict[Mode, ModuleType] = {"offline": train, "online": offline}
    for mode, other in others.items():
        (folder / "config.yaml").write_text(dump(resolve({"mode": mode}, overrides=["algorithm=sgpo", "judge=rule"])))
        assert run(other, monkeypatch, "resume=run-001", f"storage={tmp_path}", "--dry-run") == 2
        message = f"mode={mode}: such a run is of python jobs/{JOBS[mode]}.py"
        assert message in capsys.readouterr().err


def test_a_bad_file_of_groups_ends_an_offline_run_at_once(
    offline: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "groups.jsonl"
    path.write_text('{"prompt": "1+1=?"}\n')
    assert run(offline, monkeypatch, "arithmetic", "judge=rule", f"offline.groups={path}") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: offline.groups={path}, row 1: prompt_id: field required")
