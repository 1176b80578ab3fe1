"""Files that grow, in a store that cannot append."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raysgpo.output.run_folder import RunFolder
from raysgpo.stores.object_store import ObjectStore
from raysgpo.stores.stored_records import StoredRecords, _in_row


@pytest.fixture
def run(store: ObjectStore, tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run", store.url)


def fetched(run: RunFolder, folder: Path) -> dict[str, bytes]:
    StoredRecords(run).fetch(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_each_part_is_sent_once_and_the_whole_comes_back(run: RunFolder, store: ObjectStore, tmp_path: Path) -> None:
    records, line = StoredRecords(run), b'{"step": 0}\n'
    for steps, sent in ((1, False), (2, False), (2, True), (5, False)):
        run.metrics.write_bytes(line * steps + b"more, of a step that no checkpoint has")
        run.answers.write_bytes(b"")
        assert records.has({run.metrics.name: 12 * steps, run.answers.name: 0}) == sent
        records.put({run.metrics.name: 12 * steps, run.answers.name: 0})
        assert records.has({run.metrics.name: 12 * steps, run.answers.name: 0})
    sizes, name = store.names(), "records/metrics.jsonl/"
    assert sizes == {f"{name}{0:016d}": 12, f"{name}{12:016d}": 12, f"{name}{24:016d}": 36}
    assert not records.has({run.metrics.name: 61})
    assert fetched(run, tmp_path / "back") == {"metrics.jsonl": line * 5}


def test_what_was_gone_back_on_is_cut_and_written_anew(run: RunFolder, tmp_path: Path) -> None:
    records = StoredRecords(run)
    run.groups.write_bytes(b"11112222")
    records.put({"groups.jsonl": 4})
    records.put({"groups.jsonl": 8})
    run.groups.write_bytes(b"1111333344")
    records.cut({"groups.jsonl": 4})
    records.put({"groups.jsonl": 10})
    assert fetched(run, tmp_path / "back") == {"groups.jsonl": b"1111333344"}
    records.cut({})
    (tmp_path / "none").mkdir()
    assert fetched(run, tmp_path / "none") == {}


def test_a_part_that_is_missing_ends_the_row(run: RunFolder, store: ObjectStore, tmp_path: Path) -> None:
    records = StoredRecords(run)
    run.groups.write_bytes(b"111122223333")
    for size in (4, 8, 12):
        records.put({"groups.jsonl": size})
    store.remove([f"records/groups.jsonl/{4:016d}"])
    assert not records.has({"groups.jsonl": 12}) and not records.has({"groups.jsonl": 8})
    assert fetched(run, tmp_path / "back") == {"groups.jsonl": b"1111"}
    records.put({"groups.jsonl": 12})
    (tmp_path / "back" / "groups.jsonl").unlink()
    assert fetched(run, tmp_path / "back") == {"groups.jsonl": b"111122223333"}


def test_parts_follow_on_each_other_from_the_first_byte() -> None:
    sizes = [random.Random(n).randint(1, 9) for n in range(20)]
    parts = {sum(sizes[:n]): size for n, size in enumerate(sizes)}
    for most in range(sum(sizes) + 1):
        row = _in_row(parts, most)
        assert list(row) == list(parts)[: len(row)] and sum(row.values()) <= most
        assert len(row) == len(parts) or sum(row.values()) + sizes[len(row)] > most
    assert _in_row({4: 1}) == {}
