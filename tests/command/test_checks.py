"""What can be missing, found out before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.command.checks import check_places
from raysgpo.config import Config
from raysgpo.config.model_path import check_judge_path, check_model_path
from raysgpo.config.overrides import ConfigError


def test_storage_is_made_if_it_can_be(tmp_path: Path) -> None:
    check_places(Config(storage=str(tmp_path / "a" / "b")))
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null/none"])
def test_a_home_that_cannot_be_written_to_is_named_with_the_fix(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    with pytest.raises(ConfigError) as caught:
        check_places(Config())
    message = str(caught.value)
    assert message.startswith(f"storage={home}/raysgpo: nothing can be written there (")
    assert message.endswith("); choose another folder") and "\n" not in message


def test_a_run_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^resume=/proc/none: nothing can be written there"):
        check_places(Config(storage=str(tmp_path), resume="/proc/none"))


def test_a_model_may_lie_in_an_object_store_of_ours_and_a_judge_may_not() -> None:
    check_model_path("s3://bucket/runs/mine-001/exports/step-000080")
    for model in ("file:///m", "http://host/m"):
        with pytest.raises(ConfigError, match=rf"^model={model}: \w+:// is not supported: give a folder"):
            check_model_path(model)
    with pytest.raises(ConfigError, match=r"^judge\.model=s3://bucket/m: a judge is not read from an address: give a"):
        check_judge_path("s3://bucket/m")
