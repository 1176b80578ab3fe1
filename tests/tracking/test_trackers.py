"""A tracker gets every row in its order, and one that fails or hangs costs nothing but its own rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raysgpo.command.checks import check_trackers
from raysgpo.config import Config
from raysgpo.config import trackers as table
from raysgpo.config.overrides import ConfigError, dump, resolve
from raysgpo.config.trackers import TRACKERS, TrackerKind
from raysgpo.output.run_folder import RunFolder
from raysgpo.tracking import trackers as trackers_file
from raysgpo.tracking.tracker import tracker_class
from raysgpo.tracking.trackers import Trackers


class Scripted:
    """Does as it is told: ``fails`` gets what it is about to do."""

    log: ClassVar[list[Any]] = []
    fails: ClassVar[Callable[[Any], None]] = lambda doing: None

    def __init__(self, run: RunFolder, step: int, settings: dict[str, Any]) -> None:
        self._do(("begin", step, settings["seed"]))

    @classmethod
    def unready(cls) -> str | None:
        return None

    @property
    def place(self) -> str:
        return "over there"

    def row(self, row: Any) -> None:
        self._do(row["step"])

    def close(self, failed: bool) -> None:
        self._do("failed" if failed else "finished")

    def _do(self, what: Any) -> None:
        Scripted.fails(what)
        Scripted.log.append(what)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Scripted]]:
    kinds = {**TRACKERS, "scripted": TrackerKind(f"{__name__}:Scripted", "json")}
    monkeypatch.setattr(table, "TRACKERS", kinds)
    monkeypatch.setattr(trackers_file, "tracker_class", lambda name: Scripted)
    monkeypatch.setattr(Scripted, "log", [])
    yield Scripted


def followed(folder: Path, rows: int, error: Exception | None = None) -> list[str]:
    """What the console is told of so many rows, and of how the run ended."""
    said: list[str] = []
    config = Config().model_copy(update={"records": Config().records.model_copy(update={"trackers": ("scripted",)})})
    try:
        with Trackers(config, RunFolder(folder), 3, said.append) as trackers:
            for step in range(rows):
                trackers.row({"step": step})
            if error is not None:
                raise error
    except RuntimeError:
        pass
    return said


def test_rows_arrive_in_order_between_begin_and_end(scripted: type[Scripted], tmp_path: Path) -> None:
    assert followed(tmp_path, 3) == ["scripted: over there"]
    assert scripted.log == [("begin", 3, 0), 0, 1, 2, "finished"]


def test_a_run_that_fails_says_so_there(scripted: type[Scripted], tmp_path: Path) -> None:
    followed(tmp_path, 1, RuntimeError("no replica"))
    assert scripted.log[-1] == "failed"


def test_what_fails_is_told_once_and_counted(
    scripted: type[Scripted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(doing: Any) -> None:
        if doing in (1, 2, 4):
            raise ConnectionError(f"no way to send {doing}\nand more")

    monkeypatch.setattr(scripted, "fails", fails)
    assert followed(tmp_path, 6) == [
        "scripted: over there",
        "scripted fails, and the run goes on without it (ConnectionError: no way to send 1; said once)",
        "scripted lacks 3 rows of this run; metrics.jsonl and evaluations.jsonl have all",
    ]
    assert scripted.log[1:] == [0, 3, 5, "finished"]


def test_one_that_cannot_begin_is_tried_again_with_the_next_row(
    scripted: type[Scripted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [OSError("away")] * 2

    def fails(doing: Any) -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr(scripted, "fails", fails)
    said = followed(tmp_path, 3)
    assert scripted.log == [("begin", 3, 0), 1, 2, "finished"]
    assert [line.partition(" rows")[0] for line in said][1:] == ["scripted: over there", "scripted lacks 1"]


def test_one_that_hangs_holds_nobody_up(
    scripted: type[Scripted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(scripted, "fails", lambda doing: released.wait(30) if doing == 1 else None)
    monkeypatch.setattr(trackers_file, "PATIENCE", 0.2)
    start = time.monotonic()
    said = followed(tmp_path, 4)
    assert time.monotonic() - start < 10
    rows = "3 rows of this run; metrics.jsonl and evaluations.jsonl have all"
    assert said[1:] == [f"scripted did not answer in time and lacks {rows}"]
    released.set()


def test_names_are_a_word_or_a_list_each_once_and_come_back_from_the_file(tmp_path: Path) -> None:
    def chosen(word: str) -> tuple[str, ...]:
        return resolve(Config(), overrides=[f"records.trackers={word}"]).records.trackers

    assert Config().records.trackers == ("tensorboard",)
    assert chosen("wandb") == ("wandb",) and chosen("[]") == ()
    assert chosen("[tensorboard,mlflow,tensorboard]") == ("tensorboard", "mlflow")
    config = resolve(Config(), overrides=["records.trackers=[wandb,mlflow]"])
    (tmp_path / "config.yaml").write_text(dump(config))
    from raysgpo.config.overrides import load

    assert resolve(load(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize("word", ["wanbd", "[tensorboard,wanbd]"])
def test_a_wrong_name_is_one_line_with_the_nearest(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(Config(), overrides=[f"records.trackers={word}"])
    [line] = str(caught.value).splitlines()
    assert "records.trackers" in line and "no such tracker; choose from tensorboard, wandb, mlflow" in line
    assert "did you mean wandb?" in line


def test_a_package_that_is_missing_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        check_trackers(resolve(Config(), overrides=["records.trackers=mlflow"]))
    assert str(caught.value) == (
        "records.trackers=mlflow: the package mlflow is not installed: pip install raysgpo[mlflow], or leave mlflow out"
    )


def test_a_folder_of_the_packages_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notapackage").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not TrackerKind("", "notapackage").installed
    assert TRACKERS["tensorboard"].installed


@pytest.mark.parametrize("name", TRACKERS)
def test_each_row_of_the_table_names_a_tracker_that_imports_without_its_package(name: str) -> None:
    kind = tracker_class(name)
    assert all(callable(getattr(kind, method)) for method in ("unready", "row", "close"))
