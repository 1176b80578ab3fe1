"""A script that would run the package of another checkout runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import raysgpo
from raysgpo.command.script import run_script
from raysgpo.output.exit_status import FAILED
from raysgpo.output.whole_file import WriteFailed
from tests.command.test_cli import ROOT


def test_a_script_beside_its_package_runs_also_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ROOT)
    for checkout in (ROOT, tmp_path / "link"):
        assert run_script(str(checkout / "jobs" / "train.py"), lambda: 7) == 7


def test_a_script_that_has_no_package_beside_it_runs(tmp_path: Path) -> None:
    assert run_script(str(tmp_path / "mine" / "train.py"), lambda: 7) == 7


def test_a_script_whose_package_is_another_runs_nothing_and_says_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raysgpo").mkdir()
    script = tmp_path / "jobs" / "train.py"
    assert run_script(str(script), lambda: pytest.fail("it ran")) == 2
    out, err = capsys.readouterr()
    package = Path(raysgpo.__file__).parent
    assert out == "" and err == (
        f"error: {script} would run another checkout's {package}: "
        f"export PYTHONPATH={tmp_path}, or pip install -e {tmp_path}\n"
    )


def test_a_disk_without_room_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> int:
        raise WriteFailed(28, "No space left on device", "/out.jsonl")

    assert run_script(str(ROOT / "jobs" / "train.py"), full) == FAILED
    assert capsys.readouterr().err == "error: /out.jsonl: it could not be written (No space left on device)\n"
