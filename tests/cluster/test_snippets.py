"""What the documentation says to type: the shell can read it, and the project's own parsers take it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.local import _parser as local_parser
from jobs.compare import parser as compare_parser
from raysgpo.command.configure import Mode, configure
from raysgpo.command.parser import run_parser
from raysgpo.command.words import Words
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, dotted_keys
from raysgpo.recipes import RECIPES
from tests.command.test_cli import ROOT

GUIDE = ROOT / "cluster" / "README.md"
PAGES = [ROOT / "README.md", GUIDE, *sorted((ROOT / "docs").glob("*.md"))]
YAMLS = [*sorted((ROOT / "cluster").glob("*.yaml")), *sorted((ROOT / "cluster" / "kuberay").glob("*.yaml"))]
PLACEHOLDER = re.compile(r"\bRECIPE\b|\[key|\[--|\.\.\.|…")
NOT_YET = "task.kind=backwards"
"""The task that docs/tasks.md has its reader write."""
MODES: dict[str, Mode] = {"train": "online", "offline": "offline"}


def blocks(page: Path) -> list[str]:
    """What stands between fences, without what is printed: of pages that do not name the language."""
    return re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[str]:
    """``python jobs/...`` to the end of its line, lines that go on joined, whatever hands it to a cluster before it."""
    for line in text.replace("\\\n", " ").splitlines():
        for found in re.findall(r"python jobs/\w+\.py[^`|&']*", line):
            if not PLACEHOLDER.search(found) and NOT_YET not in found:
                yield found.strip()


def typed(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    inline = "\n".join(re.findall(r"`(python jobs/[^`\n]*)`", text))
    return [*commands(inline), *(command for block in blocks(page) for command in commands(block))]


EVERY = sorted({(page.name, command) for page in PAGES for command in typed(page)})


def parse(command: str) -> Config | None:
    """The settings that a command stands for; None of commands that have none, or go on with a run.

    Raises:
        ConfigError: the project refuses it.
        SystemExit: its parser does.
    """
    job, *words = shlex.split(command.removeprefix("python jobs/"), comments=True)
    name = job.removesuffix(".py")
    assert (ROOT / "jobs" / job).is_file(), f"there is no jobs/{job}"
    if name == "compare":
        compare_parser().parse_intermixed_args(words)
        return None
    if name not in MODES:
        return None
    arguments = run_parser(job, "", RECIPES).parse_intermixed_args(words)
    settings = Words.of(arguments)
    if arguments.config is not None or settings.value("resume") not in (None, "auto"):
        keys = {word.partition("=")[0] for word in settings.overrides}
        assert keys <= {"resume", *dotted_keys()}
        return None
    return configure(settings, RECIPES, MODES[name])


def test_the_pages_have_commands() -> None:
    assert len(EVERY) > 40
    assert {"README.md", "gpu.md", "guidance.md"} <= {page for page, _ in EVERY}
    assert sum("sgpo_7b" in command for command in typed(GUIDE)) > 3


@pytest.mark.parametrize(("page", "command"), EVERY)
def test_the_project_takes_what_a_page_says_to_type(page: str, command: str) -> None:
    try:
        parse(command)
    except (ConfigError, SystemExit) as error:
        pytest.fail(f"{page}: {command}: {error}")


def test_a_setting_or_recipe_that_is_none_would_be_found() -> None:
    for command in ("python jobs/train.py sgpo_8b", "python jobs/train.py arithmetic rollout.replica=2"):
        with pytest.raises(ConfigError):
            parse(command)
    with pytest.raises(AssertionError, match=r"there is no jobs/trane\.py"):
        parse("python jobs/trane.py arithmetic")


def test_a_kubernetes_job_and_the_cluster_s_comments_are_commands_too() -> None:
    job = yaml.safe_load((ROOT / "cluster" / "kuberay" / "rayjob.yaml").read_text(encoding="utf-8"))
    (command,) = commands(job["spec"]["entrypoint"])
    config = parse(command)
    assert config is not None and config.storage == "/mnt/shared"
    assert job["metadata"]["name"] == config.name
    recipes = {name for file in YAMLS for name in re.findall(r"sgpo_\w+", file.read_text(encoding="utf-8"))}
    assert recipes <= set(RECIPES.names())


@pytest.mark.parametrize("page", [GUIDE, *YAMLS], ids=lambda page: page.name)
def test_settings_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    keys = set(dotted_keys())
    sections = {key.partition(".")[0] for key in keys if "." in key}
    named = set(re.findall(rf"\b((?:{'|'.join(sections)})\.[a-z_]+)\b", text))
    assert {name for name in named if name not in keys and not name.endswith((".yaml", ".py"))} == set()


def test_the_local_cluster_s_words_are_taken() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    lines = re.findall(r"python cluster/local\.py (\w+)$", text, re.MULTILINE)
    assert set(lines) == {"up", "down"}
    flags = re.findall(r"`(--(?:nodes|cpus)[^`]*)`", text)
    assert len(flags) == 2
    for words in flags:
        local_parser().parse_args(["up", *shlex.split(words)])


def read_by_the_shell(script: str) -> str:
    """What ``bash -n`` says of it; nothing, if it can be read."""
    return subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=30).stderr


def test_the_shell_reads_every_block() -> None:
    scripts = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(scripts) == len(blocks(GUIDE)) > 10, "each block says that it is shell"
    for script in scripts:
        assert read_by_the_shell(script) == "", script
    for page, command in EVERY:
        assert read_by_the_shell(command) == "", f"{page}: {command}"
    assert read_by_the_shell("echo 'open") != ""


@pytest.mark.parametrize("file", [file for file in YAMLS if file.parent.name == "cluster"], ids=lambda file: file.stem)
def test_the_shell_reads_every_command_of_a_file(file: Path) -> None:
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    lines = [line for key, lines in tree.items() if key.endswith("_commands") for line in lines]
    options = [option for key, options in tree["docker"].items() if key.endswith("options") for option in options]
    for line in [*lines, f"docker run {' '.join(options)} image"]:
        assert read_by_the_shell(line) == "", line


def test_links_of_the_guide_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]*)", GUIDE.read_text(encoding="utf-8")):
        assert not link or (GUIDE.parent / link).exists(), link


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("cluster/local.py", "--help"),
        ("jobs/train.py", "arithmetic", "--dry-run", "--cluster", "cluster/kuberay/rayjob.yaml"),
        ("jobs/train.py", "sgpo_14b", "--dry-run", "--cluster", "cluster/aws-p5.yaml"),
    ],
    ids=" ".join,
)
def test_what_costs_nothing_runs(words: tuple[str, ...]) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}  # else it asks for a model for two minutes
    result = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode == 0) == ("sgpo_14b" not in words), "as the file stands, it is for 7B"
    if "sgpo_14b" in words:
        assert "GPU" in result.stderr and len(result.stderr.strip().splitlines()) == 1
