"""Checkpoint folders: complete or absent, whatever happens and whenever it happens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysgpo.output import checkpoint
from raysgpo.output.whole_file import WriteFailed
from tests.output.checkpoints import write_checkpoint
from tests.output.full_disk import no_file_beyond

STATE = {"step": 3, "position": 96, "rng": {"state": 2**100}, "controllers": [0.1, None]}


def content(text: str) -> Callable[[Path], None]:
    """A ``save`` that writes two files, one of them in a folder of its own."""

    def save(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text(text * 100)
        (folder / "optimizer").write_text(text)

    return save


def write(folder: Path, step: int, text: str | None = None, keep: int = 3) -> Path:
    return write_checkpoint(folder, step, content(text or f"text of {step}"), {"step": step}, keep)


def visible(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def test_what_was_written_is_found_and_read_back(tmp_path: Path) -> None:
    made = write_checkpoint(tmp_path / "checkpoints", 10, content("ab"), STATE, keep=1)
    assert made == tmp_path / "checkpoints" / "step-000010"
    assert checkpoint.newest_complete(tmp_path / "checkpoints") == (made, [])
    assert checkpoint.read_state(made) == STATE
    assert (made / "model" / "weights").read_text() == "ab" * 100


def test_the_manifest_can_be_checked_by_other_tools(tmp_path: Path) -> None:
    made = write(tmp_path, 1)
    files = json.loads((made / "manifest.json").read_text())["files"]
    assert sorted(files) == ["model/weights", "optimizer", "state.json"]
    listing = "".join(f"{entry['sha256']}  {name}\n" for name, entry in files.items())
    subprocess.run(["sha256sum", "--check", "--quiet"], input=listing, text=True, cwd=made, check=True)


def test_the_newest_wins_by_number_and_the_last_ones_stay(tmp_path: Path) -> None:
    for step in (5, 10, 999_999, 1_000_000):
        write(tmp_path, step, keep=2)
    assert visible(tmp_path) == ["step-1000000", "step-999999"]
    assert checkpoint.newest_complete(tmp_path)[0].name == "step-1000000"


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda c: (c / "optimizer").unlink(), "optimizer is missing"),
        (lambda c: (c / "optimizer").write_text("short"), "optimizer has 5 bytes instead of 9"),
        (lambda c: (c / "optimizer").write_text("TEXT of 2"), "optimizer has changed"),
        (lambda c: (c / "state.json").write_text("{}"), "state.json has 2 bytes"),
        (lambda c: (c / "manifest.json").unlink(), "has no manifest.json"),
        (lambda c: (c / "manifest.json").write_text('{"step": 2, "fi'), "manifest.json cannot be read"),
        (lambda c: (c / "manifest.json").write_text("[]"), "manifest.json cannot be read"),
        (emptied, "has no manifest.json"),
    ],
)
def test_a_corrupt_newest_is_passed_over_by_name_and_reason(
    tmp_path: Path, harm: Callable[[Path], object], reason: str
) -> None:
    good, bad = write(tmp_path, 1), write(tmp_path, 2)
    harm(bad)
    found, messages = checkpoint.newest_complete(tmp_path)
    assert found == good
    assert len(messages) == 1
    assert "step-000002" in messages[0]
    assert reason in messages[0]


def test_with_nothing_to_use_the_error_says_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds none at all"):
        checkpoint.newest_complete(tmp_path / "never made")
    (write(tmp_path, 4) / "optimizer").unlink()
    with pytest.raises(FileNotFoundError, match=r"step-000004 cannot be used .* optimizer is missing"):
        checkpoint.newest_complete(tmp_path)


MOMENTS = {"fsync": 7, "replace": 2, "rmtree": 2}
"""How often a write that replaces a checkpoint, and removes another, calls what can be its last call."""


class Crash(BaseException):
    """The process dies here."""


def crashing_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Let the ``number``-th call of os.<name> or shutil.<name> be the last thing that happens."""
    module = os if hasattr(os, name) else shutil
    real, calls = getattr(module, name), []

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == number:
            raise Crash
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, call)


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, n) for name, count in MOMENTS.items() for n in range(1, count + 1)],
)
@pytest.mark.parametrize("step", [2, 3])
def test_a_crash_at_any_moment_leaves_whole_checkpoints_and_the_next_write_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, name: str, number: int
) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    comes = pytest.raises(Crash) if (step, name, number) != (3, "replace", 2) else contextlib.nullcontext()
    with monkeypatch.context() as patch, comes:  # only a step that is replaced is put aside first
        crashing_at(patch, name, number)
        write(tmp_path, step, text="new", keep=1)
    found, messages = checkpoint.newest_complete(tmp_path)
    assert messages == []
    text = (found / "optimizer").read_text()
    assert text in ("text of 1", "text of 2", "new")
    assert text != "new" or found.name == f"step-{step:06d}"
    final = write(tmp_path, 4, keep=1)
    assert visible(tmp_path) == [final.name]


@pytest.mark.parametrize("name", MOMENTS)
def test_there_is_no_moment_after_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    crashing_at(monkeypatch, name, MOMENTS[name] + 1)
    write(tmp_path, 2, text="new", keep=1)


def test_a_save_that_fails_leaves_the_checkpoints_as_they_were(tmp_path: Path) -> None:
    def failing(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError("disk full")

    good = write(tmp_path, 1)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path, 2, failing, {}, keep=1)
    assert checkpoint.newest_complete(tmp_path) == (good, [])
    assert [name for name in visible(tmp_path) if not name.startswith(".")] == ["step-000001"]


def test_the_same_step_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, 2, text="first")
    made = write(tmp_path, 2, text="second")
    assert (made / "optimizer").read_text() == "second"
    assert checkpoint.newest_complete(tmp_path) == (made, [])
    assert visible(tmp_path) == ["step-000002"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_crash_while_the_only_checkpoint_is_replaced_does_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(tmp_path, 2, text="first")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crashing_at(patch, "replace", number)
        write(tmp_path, 2, text="second", keep=1)
    found, _ = checkpoint.newest_complete(tmp_path)
    assert (found / "optimizer").read_text() == "first"


def test_a_run_that_went_back_removes_the_steps_it_abandoned(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (write(tmp_path, 9) / "optimizer").unlink()
    made = write(tmp_path, 2, keep=1)
    assert visible(tmp_path) == ["step-000002"]
    assert checkpoint.newest_complete(tmp_path) == (made, [])


def test_ranks_that_save_together_agree_on_the_folder_without_a_word(tmp_path: Path) -> None:
    (tmp_path / ".step-000006.partial").mkdir()
    (tmp_path / ".step-000006.partial" / "leftover").write_text("of a crash")
    place = checkpoint.begin(tmp_path, 7)
    assert place == checkpoint.partial(tmp_path, 7)
    assert visible(tmp_path) == [place.name]
    known: checkpoint.Fingerprints = {}
    for rank in range(2):
        file = checkpoint.partial(tmp_path, 7) / f"shard-{rank}"
        file.write_text("rank")
        known |= checkpoint.fingerprints(place, [file])
    with pytest.raises(FileNotFoundError):
        checkpoint.newest_complete(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        hashed: list[str] = []
        real = checkpoint._fingerprint

        def fingerprint(file: Path) -> dict[str, Any]:
            hashed.append(file.name)
            return real(file)

        patch.setattr(checkpoint, "_fingerprint", fingerprint)
        made = checkpoint.commit(tmp_path, 7, {}, keep=1, known=known)
    assert hashed == ["state.json"], "each rank has hashed its own"
    assert checkpoint.newest_complete(tmp_path) == (made, [])
    assert visible(made) == ["manifest.json", "shard-0", "shard-1", "state.json"]


def test_what_another_process_wrote_on_another_disk_is_said(tmp_path: Path) -> None:
    place = checkpoint.begin(tmp_path, 7)
    known = {"shard-1": {"size": 4, "sha256": "0" * 64}}
    for content_ in (None, "short of it"):
        if content_ is not None:
            (place / "shard-1").write_text(content_)
        with pytest.raises(FileNotFoundError, match=r"shard-1 was .* not to be seen here.* a disk that all nodes"):
            checkpoint.commit(tmp_path, 7, {}, keep=1, known=known)


def test_the_best_stays_beside_the_last_ones(tmp_path: Path) -> None:
    for step, accuracy in enumerate([0.1, 0.5, None, 0.5, 0.4, 0.3], start=1):
        write_checkpoint(tmp_path, step, state={"accuracy": accuracy}, keep=1, keep_best=True)
    assert visible(tmp_path) == ["step-000004", "step-000006"], "of equal ones the newest"
    assert checkpoint.best_step(tmp_path) == 4
    (tmp_path / "step-000004" / "state.json").write_text("half of it")
    assert checkpoint.best_step(tmp_path) == 6
    write_checkpoint(tmp_path, 7, state={"accuracy": 0.2}, keep=1)
    assert visible(tmp_path) == ["step-000007"]


def test_none_is_the_best_where_none_was_evaluated(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, keep_best=True)
    assert checkpoint.best_step(tmp_path) is None


def test_a_best_that_lies_behind_where_the_run_went_back_to_is_abandoned(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 9, state={"accuracy": 0.9}, keep_best=True)
    write_checkpoint(tmp_path, 2, state={"accuracy": 0.1}, keep_best=True)
    assert visible(tmp_path) == ["step-000002"]


def test_a_checkpoint_of_the_older_layout_is_said_to_be_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 3, lambda place: (place / "optimizer.pt").write_text("all in one"))
    with pytest.raises(FileNotFoundError, match=f"older version.* a new run can start: model={tmp_path}/step-000003"):
        checkpoint.newest_complete(tmp_path)


def half_renamed(folder: Path) -> Path:
    """As a crash leaves it between the two renames: the newer one of step 2 never came."""
    write(folder, 1)
    final = write(folder, 2)
    return final.rename(folder / f".{final.name}.old")


def test_reading_what_a_crash_left_half_renamed_changes_nothing(tmp_path: Path) -> None:
    old = half_renamed(tmp_path)
    before = visible(tmp_path)
    assert checkpoint.newest_complete(tmp_path) == (old, [])
    assert checkpoint.steps(tmp_path) == [2, 1]
    assert visible(tmp_path) == before
    checkpoint.begin(tmp_path, 3)
    assert checkpoint.newest_complete(tmp_path)[0] == tmp_path / "step-000002"


READ = """
import sys
from pathlib import Path
from raysgpo.output import checkpoint
for folder in sorted(Path(sys.argv[1]).iterdir()):
    me, other = (folder / f"rank-{name}" for name in sys.argv[2:])
    me.touch()
    while not other.exists():
        pass
    try:
        print(checkpoint.newest_complete(folder)[0].name.strip(".").removesuffix(".old"))
    except Exception as error:
        print(repr(error))
"""


def test_two_ranks_that_read_a_half_renamed_one_at_once_read_the_same(tmp_path: Path) -> None:
    """200 times, in step: where whoever reads repairs, one of the two fails one time in twelve."""
    half_renamed(tmp_path / "000")
    for number in range(1, 200):
        shutil.copytree(tmp_path / "000", tmp_path / f"{number:03d}")
    ranks = [
        subprocess.Popen([sys.executable, "-c", READ, str(tmp_path), *names], stdout=subprocess.PIPE, text=True)
        for names in (("0", "1"), ("1", "0"))
    ]
    assert [rank.communicate(timeout=300)[0] for rank in ranks] == ["step-000002\n" * 200] * 2


def test_a_checkpoint_that_there_is_no_room_for_is_named_and_leaves_the_room_free(tmp_path: Path) -> None:
    good = write(tmp_path, 1)
    before = visible(tmp_path)
    for room in (0, 100, 200):
        with no_file_beyond(room), pytest.raises(WriteFailed, match="step-000002: it could not be written"):
            write_checkpoint(tmp_path, 2, state={"long": "x" * 250}, keep=1)
        assert visible(tmp_path) == before
    assert checkpoint.newest_complete(tmp_path) == (good, [])


@pytest.mark.slow
def test_it_can_be_read_before_torch_and_ray_are_imported() -> None:
    code = "import sys, raysgpo.output.checkpoint; print({'torch', 'ray', 'vllm', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
