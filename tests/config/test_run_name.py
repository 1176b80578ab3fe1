"""A run's name is a folder's: letters of every script, and nothing that leads elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.run_name import LONGEST, checked_name, plain_name
from raysgpo.output.run_folder import RunFolder


def refused(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve({}, overrides=[f"name={json.dumps(name)}"])
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["run", "007", "größe", "推理", "हिन्दी", "a_b.c+d-e", "lr=1e-5, seed 3", "e\u0301t\u0301", "x" * LONGEST],
)
def test_letters_of_every_script_and_most_signs_are_a_name(name: str, tmp_path: Path) -> None:
    assert checked_name(name) == name == resolve({}, overrides=[f"name='{name}'"]).name
    run = RunFolder.create(tmp_path, name)
    assert run.path == RunFolder.create(tmp_path, name).path.with_name(f"{name}-001")
    assert resolve({}, overrides=[f"resume={run.path}"]).resume == str(run.path)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("a/b", "a-b"),
        ("../x", "x"),
        ("..", "run"),
        ("/etc", "etc"),
        ("~x", "x"),
        ("-x", "x"),
        (".x", "x"),
        (" a b ", "a-b"),
        ("a: b", "a-b"),
        ("$HOME", "HOME"),
        ("a\\b", "a-b"),
        ("a#b", "a-b"),
        ("a\u2028b", "a-b"),
        ("a\x00b", "a-b"),
        ("", "run"),
    ],
)
def test_what_leads_elsewhere_or_cannot_be_read_is_refused_with_a_name_that_could_be(name: str, instead: str) -> None:
    message = refused(name)
    assert message.startswith("name=") and message.endswith(f", such as {instead}")
    assert checked_name(instead) == instead


def test_a_name_that_no_file_system_holds_is_refused() -> None:
    assert "at most 200 bytes, and this one 202" in refused("é" * 101)


def test_where_only_ascii_is_taken_a_plain_name_stays_what_it_is() -> None:
    assert plain_name("arithmetic-001") == "arithmetic-001"


@pytest.mark.parametrize("folder", ["größe-001", "推理-001", "a#b-001", "a b-001", "e\u0301-001", "推理", "\udcff"])
def test_where_only_ascii_is_taken_another_name_becomes_plain_and_stays_its_own(folder: str) -> None:
    name = plain_name(folder)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{8}", name)
    assert name == plain_name(folder) != plain_name(folder + "x")


def test_names_that_differ_in_other_letters_alone_stay_apart() -> None:
    assert len({plain_name(folder) for folder in ("é-1", "è-1", "-1", "--1", "推-1")}) == 5
