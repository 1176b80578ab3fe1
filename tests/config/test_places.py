"""Files and folders as users name them: what is no folder is said before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.places import storage_folder, user_path


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ("hdfs://name/runs", "hdfs:// is not supported: give a folder that all nodes share, s3://BUCKET/PREFIX or gs:"),
        ("http://host/runs", "http:// is not supported"),
        ("file:///runs", "file:// is not supported"),
        ("s3://", "there can be no such bucket; write s3://BUCKET/PREFIX"),
        ("gs://Bucket/x", "there can be no such bucket; write gs://BUCKET/PREFIX"),
        ("s3://bucket//x", "there can be no such bucket"),
        ("s3://key:secret@bucket/x", "keys, region and endpoint are read from the environment"),
        ("s3://bucket/x?region=eu-west-1", "keys, region and endpoint are read from the environment"),
        ("' '", "no folder can be called so"),
        ("~nobody-of-that-name/runs", "there is no such home"),
    ],
)
def test_storage_that_is_no_folder_is_refused(storage: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        resolve({}, overrides=[f"storage={storage}"])
    assert str(caught.value).startswith("storage=") and "\n" not in str(caught.value)
    if "://" not in storage:
        with pytest.raises(ValueError, match=f"^storage=.*{why}"):
            storage_folder(storage.strip("'"))


@pytest.mark.parametrize("storage", ["s3://bucket", "s3://my.bucket-1/a/b", "gs://bucket/runs/"])
def test_a_run_may_be_kept_in_an_object_store(storage: str, tmp_path: Path) -> None:
    config = resolve({}, overrides=[f"storage={storage}", f"scratch={tmp_path}"])
    assert (config.store, config.storage_root) == (storage.rstrip("/"), tmp_path)
    assert resolve(config).store == config.store
    assert resolve({}, overrides=[f"storage={tmp_path}"]).store is None
    with pytest.raises(ValueError, match=r"^storage=.*: a folder is needed and no address"):
        storage_folder(storage)
    for other in ("scratch", "model_cache"):
        with pytest.raises(ConfigError, match=f"^{other}=.*: a folder is needed and no address"):
            resolve({}, overrides=[f"{other}={storage}"])


def test_an_offline_run_is_kept_in_a_folder() -> None:
    words = ["mode=offline", "offline.keep=positive", "storage=s3://bucket/x"]
    with pytest.raises(
        ConfigError, match=r"^storage=s3://bucket/x: an offline run keeps its phases in files: set storage"
    ):
        resolve({}, overrides=words)


def test_storage_is_made_absolute_where_the_command_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert storage_folder("runs") == tmp_path / "runs"
    assert storage_folder("~/größe") == Path("/home/me/größe")


def test_a_home_of_nobody_is_a_path_that_is_not_there() -> None:
    assert user_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    config = resolve({}, overrides=["task.path=~nobody-of-that-name/rows.jsonl", "model=~nobody-of-that-name/m"])
    assert isinstance(config.task.path, str) and not Path(config.task.path).exists()
