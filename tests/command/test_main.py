"""The installed command: each word is a script of ``jobs/``, and what it says to type is what was typed."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from raysgpo import __version__
from raysgpo.command import main as console
from raysgpo.config.command_name import command_name, word
from tests.command.test_cli import ROOT

SCRIPTS = {file.stem for file in (ROOT / "jobs").glob("[!_]*.py")}


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/raysgpo", *words])
    return console.main()


def test_every_script_is_a_word_and_runs_the_same_function() -> None:
    assert set(console.JOBS) == SCRIPTS and len({word(job) for job in SCRIPTS}) == len(SCRIPTS)
    for job in SCRIPTS:
        assert (ROOT / "raysgpo" / "command" / f"{job}.py").is_file()
        tree = ast.parse((ROOT / "jobs" / f"{job}.py").read_text())
        imported = {(n.module, a.name) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        assert (f"raysgpo.command.{job}", "main") in imported


def test_without_a_word_the_words_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert (typed(monkeypatch), typed(monkeypatch, "--help")) == (2, 0)
    once, again = capsys.readouterr().out.split("usage: ")[1:]
    assert once == again and set(re.findall(r"^  (\w+) ", once, re.MULTILINE)) == {word(job) for job in SCRIPTS}
    assert typed(monkeypatch, "trian") == 2 and typed(monkeypatch, "--version") == 0
    out, err = capsys.readouterr()
    assert err.startswith("error: trian: no such command; choose from train, ") and err.endswith("mean train?\n")
    assert out == f"raysgpo {__version__}\n"


def test_what_it_says_to_type_is_how_it_was_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "jobs" / "train.py")])
    assert command_name("evaluate_judge") == "python jobs/evaluate_judge.py"
    assert typed(monkeypatch, "train", "arithmetic", "--dry-run") == 0
    assert "name: arithmetic\n" in capsys.readouterr().out
    assert (command_name("train"), command_name("evaluate_judge")) == ("raysgpo train", "raysgpo judge")
    with pytest.raises(SystemExit):
        typed(monkeypatch, "offline", "arithmetic", "--cluster", "x.yaml")
    assert "usage: raysgpo offline" in capsys.readouterr().err


def test_without_a_checkout_it_is_the_installed_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/lib/ipykernel_launcher.py"])
    monkeypatch.setattr("raysgpo.config.command_name._JOBS", tmp_path)
    assert command_name("train") == "raysgpo train"
