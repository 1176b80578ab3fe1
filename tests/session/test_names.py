"""Two starts of a run share no name, whatever their folders are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysgpo.output.run_folder import RunFolder
from raysgpo.session.names import RunNames


@pytest.mark.parametrize("folder", ["arithmetic-001", "große Übung 1", "数学-001", "..."])
def test_names_are_such_that_serve_takes_them(folder: str, tmp_path: Path) -> None:
    names = RunNames.of(RunFolder(tmp_path / folder))
    for name in (names.rollout, names.judge):
        assert re.fullmatch(r"[A-Za-z0-9._+-]+", name) and names.id in name
    assert names.rollout != names.judge


def test_two_runs_of_one_name_share_none(tmp_path: Path) -> None:
    one, two = (RunNames.of(RunFolder(tmp_path / str(n) / "arithmetic-001")) for n in range(2))
    assert len({one.rollout, two.rollout, one.judge, two.judge}) == 4
    assert RunNames.of(RunFolder(tmp_path / "x")).rollout != RunNames.of(RunFolder(tmp_path / "x")).rollout
