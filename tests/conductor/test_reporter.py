"""Records are written once, and to every place."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from raysgpo.conductor import unseen_rows
from raysgpo.conductor.exporter import Exporter
from raysgpo.conductor.reporter import MOST_SAID, Reporter
from raysgpo.conductor.unseen_rows import UnseenRows
from raysgpo.output import room
from raysgpo.output.json_lines import read_rows
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import WriteFailed
from raysgpo.records import Group
from tests.output.full_disk import PLENTY, Disk

T = TypeVar("T")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Metrics, int]]]:
    """Rows and steps that Prometheus is told of."""
    shown: list[tuple[Metrics, int]] = []
    monkeypatch.setattr(Exporter, "show", lambda self, row, step: shown.append((row, step)))
    yield shown


def wrote(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def test_a_step_goes_to_every_place(
    exported: list[tuple[Metrics, int]], tmp_path: Path, make_group: Callable[..., Group]
) -> None:
    run = RunFolder(tmp_path)
    reporter = Reporter(run, 0, tokens=False)
    for step in range(2):
        groups = [make_group(2 * step + i, step=step) for i in range(2)]
        assert wrote(reporter.record({"step": step, "accuracy/mean": step + 0.5, "judge/rts_mean": None}, groups))
    answers: list[dict[str, object]] = [{"prompt_id": "a", "correct": True}, {"prompt_id": "b", "correct": None}]
    wrote(reporter.record_evaluation({"step": 2, "eval/accuracy": 1.0}, answers))
    reporter.close()
    assert [row["accuracy/mean"] for row in read_rows(run.metrics)] == [0.5, 1.5]
    assert [row["position"] for row in read_rows(run.groups)] == [0, 1, 2, 3]
    assert list(read_rows(run.evaluations)) == [{"step": 2, "eval/accuracy": 1.0}]
    assert list(read_rows(run.answers)) == [{"step": 2, **answer} for answer in answers]
    assert [(row.get("accuracy/mean"), step) for row, step in exported] == [(0.5, 1), (1.5, 2), (None, 2)]
    assert len(reporter.rows.since(0)) == 3


def test_the_answers_to_sets_go_with_their_evaluation_and_are_taken_back_with_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    reporter = Reporter(run, 0, tokens=False, sets=True)
    for step in (0, 1, 2):
        wrote(reporter.record_evaluation({"step": step, "eval/aime24/avg": 0.5}, [], [{"set": "aime24", "id": "q"}]))
    assert set(reporter.sizes(0)) > {"evaluation_set_answers.jsonl"} and run.set_answers in run.records
    reporter.close()
    assert list(read_rows(run.set_answers))[2] == {"step": 2, "set": "aime24", "id": "q"}
    Reporter(run, 1, tokens=False, sets=True).close()
    assert [row["step"] for row in read_rows(run.set_answers)] == [0, 1]


def test_letters_of_every_script_in_a_runs_name_and_in_its_labels_are_recorded_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "größe-001").mkdir()
    run = RunFolder(tmp_path / "größe-001")
    reporter = Reporter(run, 0, tokens=False)
    asyncio.run(reporter.record_evaluation({"step": 2, "eval/accuracy/算术": 1.0}, []))
    reporter.close()
    assert list(read_rows(run.evaluations)) == [{"step": 2, "eval/accuracy/算术": 1.0}]


@pytest.mark.parametrize("sized", [True, False])
def test_a_resumed_run_takes_back_what_it_will_write_again(
    tmp_path: Path, make_group: Callable[..., Group], sized: bool
) -> None:
    """By the sizes that the checkpoint knew, or without any."""
    run = RunFolder(tmp_path)
    before = Reporter(run, 0, tokens=False)
    for step in range(4):
        wrote(before.record_evaluation({"step": step + 1, "y": 1.0}, [{"prompt_id": "a"}]))
        wrote(before.record({"step": step, "x": 1.0}, [make_group(step, step=step)]))
    sizes = before.sizes(2)
    assert sizes["metrics.jsonl"] == len(run.metrics.read_bytes()) // 2
    assert set(sizes) == {"metrics.jsonl", "groups.jsonl", "evaluations.jsonl", "evaluation_answers.jsonl"}
    before.close()
    after = Reporter(run, 2, tokens=False, sizes=sizes if sized else None)
    assert [row["step"] for row in read_rows(run.metrics)] == [0, 1]
    assert [row["position"] for row in read_rows(run.groups)] == [0, 1]
    # The policy with two steps is the one that is gone on from, and its evaluation stands.
    assert [row["step"] for row in read_rows(run.evaluations)] == [1, 2]
    assert [row["step"] for row in read_rows(run.answers)] == [1, 2]
    assert after.sizes(2) == sizes
    after.close()


def test_a_step_that_is_told_again_is_not_written_again(tmp_path: Path, make_group: Callable[..., Group]) -> None:
    """Also while the first is still being written."""
    reporter = Reporter(RunFolder(tmp_path), 0, tokens=False)

    async def both() -> list[bool]:
        step = [reporter.record({"step": 0, "x": 1.0}, [make_group(0)]) for _ in range(2)]
        return list(await asyncio.gather(*step))

    assert wrote(both()) == [True, False]
    assert len(list(read_rows(tmp_path / "metrics.jsonl"))) == len(list(read_rows(tmp_path / "groups.jsonl"))) == 1
    reporter.close()


# --- no room ---


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again."""
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.0)


def test_a_step_that_there_is_no_room_for_leaves_no_trace_at_whichever_byte(
    hasty: None, tmp_path: Path, make_group: Callable[..., Group]
) -> None:
    """Written once more it is there once: no position twice, no numbers without their groups."""
    run = RunFolder(tmp_path)
    row: Metrics = {"step": 1, "x": 1.0}
    groups = [make_group(position, step=1) for position in (2, 3)]
    reporter = Reporter(run, 0, tokens=False)
    wrote(reporter.record({"step": 0, "x": 1.0}, [make_group(position) for position in (0, 1)]))
    disk = Disk(PLENTY, reporter._groups, reporter._metrics)
    before = [path.read_bytes() for path in (run.groups, run.metrics)]
    whole = sum(len(content) for content in before)
    for free in range(whole):
        disk.room, reporter.failure = free, None
        with pytest.raises(WriteFailed):
            wrote(reporter.record(row, groups))
        assert [path.read_bytes() for path in (run.groups, run.metrics)] == before
    disk.room, reporter.failure = PLENTY, None
    assert wrote(reporter.record(row, groups))
    assert [row["position"] for row in read_rows(run.groups)] == [0, 1, 2, 3]
    assert [row["step"] for row in read_rows(run.metrics)] == [0, 1]
    assert len(reporter.rows) == 2
    reporter.close()


def test_after_a_disk_that_was_full_a_resumed_run_has_every_position_once(
    hasty: None, tmp_path: Path, make_group: Callable[..., Group]
) -> None:
    """Also where what was half written could not be taken back before the end."""
    run = RunFolder(tmp_path)

    def record(reporter: Reporter, step: int) -> None:
        groups = [make_group(2 * step + i, step=step) for i in range(2)]
        wrote(reporter.record({"step": step, "x": 1.0}, groups))

    reporter = Reporter(run, 0, tokens=False)
    disk = Disk(PLENTY, reporter._groups, reporter._metrics)
    for step in range(3):
        record(reporter, step)
    sizes, disk.refuses_cuts = reporter.sizes(2), True
    disk.room = run.groups.stat().st_size // 6 + 9  # one group, and the beginning of the next
    with pytest.raises(WriteFailed):
        record(reporter, 3)
    assert not run.groups.read_bytes().endswith(b"\n")
    reporter.close()
    resumed = Reporter(run, 2, tokens=False, sizes=sizes)
    for step in range(2, 5):
        record(resumed, step)
    resumed.close()
    assert [row["position"] for row in read_rows(run.groups)] == list(range(10))
    assert [row["step"] for row in read_rows(run.metrics)] == list(range(5))


def test_an_evaluation_that_there_is_no_room_for_leaves_no_trace(hasty: None, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    reporter = Reporter(run, 0, tokens=False)
    disk = Disk(40, reporter._answers, reporter._evaluations)
    with pytest.raises(WriteFailed, match=r"evaluations\.jsonl: \d+ bytes or more"):
        wrote(reporter.record_evaluation({"step": 1, "eval/accuracy": 1.0}, [{"prompt_id": "a"}]))
    assert disk.room < 40 and run.answers.read_bytes() == run.evaluations.read_bytes() == b""
    reporter.close()


def test_the_run_waits_for_room_says_so_once_and_goes_on(
    tmp_path: Path, make_group: Callable[..., Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter = Reporter(RunFolder(tmp_path), 0, tokens=False)
    disk, tries = Disk(100, reporter._groups, reporter._metrics), list[float]()

    async def sleep(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 3:
            disk.room = PLENTY

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert wrote(reporter.record({"step": 0, "x": 1.0}, [make_group(0)]))
    assert tries == [room.RETRY_SECONDS] * 3
    [message] = reporter.take_messages()
    assert re.fullmatch(
        rf"{tmp_path}/groups\.jsonl: [\d,]+ bytes or more could not be written \(No space left on device\); the run "
        "waits for room, 30 minutes at most, and goes on by itself",
        message,
    )
    assert len(list(read_rows(tmp_path / "groups.jsonl"))) == 1 and reporter.failure is None
    reporter.close()


def test_a_run_that_waited_in_vain_ends_and_does_not_wait_again(
    hasty: None, tmp_path: Path, make_group: Callable[..., Group]
) -> None:
    reporter = Reporter(RunFolder(tmp_path), 0, tokens=False)
    disk = Disk(100, reporter._groups, reporter._metrics)
    with pytest.raises(WriteFailed):
        wrote(reporter.record({"step": 0, "x": 1.0}, [make_group(0)]))
    assert reporter.failure is not None and reporter.failure.filename == str(tmp_path / "groups.jsonl")
    disk.room = PLENTY
    with pytest.raises(WriteFailed):
        wrote(reporter.record({"step": 0, "x": 1.0}, [make_group(0)]))
    reporter.close()


def test_records_that_may_not_be_on_disk_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system forgets what it could not write: a second try would find nothing amiss."""
    reporter = Reporter(RunFolder(tmp_path), 0, tokens=False)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    wrote(reporter.to_disk())
    assert len(set(synced)) == 4

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(WriteFailed):
        wrote(reporter.to_disk())
    assert reporter.failure is not None
    reporter.close()


# --- what does not grow for ever ---


def test_rows_that_the_console_has_are_forgotten(tmp_path: Path) -> None:
    reporter, seen = Reporter(RunFolder(tmp_path), 0, tokens=False), 0
    for step in range(50):
        wrote(reporter.record({"step": step, "x": 1.0}, []))
        if step % 5 == 0:
            rows = reporter.rows.since(seen)
            assert [row["step"] for row in rows] == list(range(seen, step + 1))
            assert reporter.rows.since(seen) == rows, "an answer that was lost is given again"
            seen += len(rows)
            assert reporter.rows.since(seen) == [] and len(reporter.rows) == 0
        reporter.forget_before(step)
    assert len(reporter._sizes) == 2
    reporter.close()


def test_a_console_that_asks_no_more_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = UnseenRows()
    for step in range(unseen_rows.MOST + 7):
        rows.add({"step": step})
    assert len(rows) == unseen_rows.MOST
    assert rows.since(0)[0]["step"] == 7 and rows.since(unseen_rows.MOST)[0]["step"] == unseen_rows.MOST


def test_the_same_words_are_said_once(tmp_path: Path) -> None:
    reporter = Reporter(RunFolder(tmp_path), 0, tokens=False)
    for message in ("a", "b", "a"):
        reporter.say(message)
    assert reporter.take_messages() == ["a", "b"]
    reporter.say("a")
    assert reporter.take_messages() == []
    reporter.say("step 1: c", "kind")
    reporter.say("step 2: c", "kind")
    assert reporter.take_messages() == ["step 1: c"]
    reporter.close()


def test_of_the_words_that_were_said_the_last_are_remembered(tmp_path: Path) -> None:
    reporter = Reporter(RunFolder(tmp_path), 0, tokens=False)
    reporter.say("of a kind", "kind")
    for number in range(2 * MOST_SAID):
        reporter.say(f"step {number}")
    assert len(reporter.take_messages()) == 2 * MOST_SAID + 1
    assert len(reporter._said) == MOST_SAID
    reporter.say(f"step {number}")
    reporter.say("of a kind again", "kind")
    assert reporter.take_messages() == []
    reporter.close()
