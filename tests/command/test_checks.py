"""What can be missing, found out before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.command.checks import check_places
from raysgpo.config import Config
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
