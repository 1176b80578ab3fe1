"""What the conductor has to do with a checkpoint, without Ray: an event loop and a source that has nothing."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from raysgpo.conductor.conductor import Conductor
from raysgpo.groups.prepared import StartState
from raysgpo.output import json_lines
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import WriteFailed
from tests.conductor.fakes import prepared_for, settings


class NoSource:
    """Of a :class:`raysgpo.conductor.source.GroupSource` what a checkpoint asks for."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []

    failure: BaseException | None = None

    def forget_before(self, step: int) -> None:
        self.forgotten.append(step)


def conductor(folder: Path, source: NoSource | None = None, *words: str) -> Conductor:
    there: Any = source or NoSource()
    return Conductor(prepared_for(settings(*words), 4), RunFolder(folder), StartState(), lambda state: there)


def test_what_a_checkpoint_covers_is_forgotten(tmp_path: Path) -> None:
    source = NoSource()
    there = conductor(tmp_path, source)
    there.checkpointed(1)
    there.checkpointed(2)
    assert source.forgotten == [1, 2]
    with pytest.raises(RuntimeError, match="step 1 was asked for again, but the groups before step 2 are gone"):
        asyncio.run(there.step(1, 0, 1))


def test_the_state_has_the_accuracy_of_its_own_step(tmp_path: Path) -> None:
    async def run() -> list[float | None]:
        there = conductor(tmp_path)
        for step, accuracy in ((0, 0.25), (2, 0.5)):
            await there._reporter.record_evaluation({"step": step, "eval/accuracy": accuracy}, [])
        return [(await there.checkpoint_state(step))["accuracy"] for step in (0, 1, 2)]

    assert asyncio.run(run()) == [0.25, None, 0.5]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("checkpoint.every=0",), {4: "checkpoint export stop"}),
        (("checkpoint.every=2",), {2: "checkpoint", 4: "checkpoint export stop"}),
        (
            ("checkpoint.every=2", "checkpoint.export_every=3"),
            {2: "checkpoint", 3: "checkpoint export", 4: "checkpoint export stop"},
        ),
        (("checkpoint.every=0", "checkpoint.export_every=2"), {2: "checkpoint export", 4: "checkpoint export stop"}),
    ],
)
def test_an_export_is_of_a_checkpoint_and_the_last_step_has_both(
    tmp_path: Path, words: tuple[str, ...], expected: dict[int, str]
) -> None:
    there = conductor(tmp_path, None, *words)
    there._progress.total = 4
    found: dict[int, str] = {}
    for step in range(4):
        decision = there._decide(step, leaving=False)
        if said := [name for name in ("checkpoint", "export", "stop") if getattr(decision, name)]:
            found[step + 1] = " ".join(said)
    assert found == expected


def test_a_node_that_is_about_to_go_has_one_checkpoint_written(tmp_path: Path) -> None:
    there = conductor(tmp_path, None, "checkpoint.every=0")
    there._progress.total = 9
    notices: list[tuple[str, ...]] = [(), ("a",), ("a",), ("a", "b"), ("b",)]
    found = [there._decide(step, there._is_new(leaving)).checkpoint for step, leaving in enumerate(notices)]
    assert found == [False, True, False, True, False]
    assert [line for line in there.status(0).messages if "taken away" in line] == [
        f"a node of the trainer is about to be taken away: a checkpoint is written after step {step}" for step in (2, 4)
    ]


def test_the_state_of_a_checkpoint_is_given_once_the_records_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    state = asyncio.run(conductor(tmp_path).checkpoint_state(0))
    assert len(set(synced)) == 4
    assert state["sizes"] == {
        name: 0 for name in ("metrics.jsonl", "groups.jsonl", "evaluations.jsonl", "evaluation_answers.jsonl")
    }


def test_where_they_may_not_be_there_is_no_state_and_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    there = conductor(tmp_path)
    assert there.status(0).failure is None
    with pytest.raises(WriteFailed):
        asyncio.run(there.checkpoint_state(0))
    assert there.status(0).failure is not None


def test_a_resumed_run_cuts_its_records_where_the_checkpoint_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    for path in (run.metrics, run.groups):
        path.write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"st')
    sizes = {path.name: 24 for path in (run.metrics, run.groups)} | {run.evaluations.name: 0, run.answers.name: 0}
    monkeypatch.setattr(json_lines, "_bytes_before", lambda path, step: pytest.fail("the records were read"))
    there: Any = NoSource()
    Conductor(prepared_for(settings(), 4), run, StartState(2, 4, sizes=sizes), lambda state: there)
    assert run.metrics.read_text() == run.groups.read_text() == '{"step": 0}\n{"step": 1}\n'


def test_a_checkpoint_that_could_not_be_written_ends_the_run(tmp_path: Path) -> None:
    there, failure = conductor(tmp_path), WriteFailed(errno.ENOSPC, "No space left on device", "/run/step-000002")
    there.unwritten(failure)
    assert there.status(0).failure is failure
