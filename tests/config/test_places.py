"""Files and folders as users name them: what is no folder is said before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.places import storage_folder, user_path


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ("s3://bucket/runs", "a folder is needed and no address"),
        ("gs://bucket", "a folder is needed and no address"),
        ("file:///runs", "a folder is needed and no address"),
        ("' '", "no folder can be called so"),
        ("~nobody-of-that-name/runs", "there is no such home"),
    ],
)
def test_storage_that_is_no_folder_is_refused(storage: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        resolve({}, overrides=[f"storage={storage}"])
    assert str(caught.value).startswith("storage=") and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=f"^storage=.*{why}"):
        storage_folder(storage.strip("'"))


def test_storage_is_made_absolute_where_the_command_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert storage_folder("runs") == tmp_path / "runs"
    assert storage_folder("~/größe") == Path("/home/me/größe")


def test_a_home_of_nobody_is_a_path_that_is_not_there() -> None:
    assert user_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    config = resolve({}, overrides=["task.path=~nobody-of-that-name/rows.jsonl", "model=~nobody-of-that-name/m"])
    assert config.task.path is not None and not Path(config.task.path).exists()
