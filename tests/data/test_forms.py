"""The same rows in every form that they may come in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest

from raysgpo.data.input_rows import input_rows
from raysgpo.data.table_rows import Unreachable

ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "question": "1+1?",
        "answer": "02",
        "year": 1997,
        "rate": 0.5,
        "chat": [{"role": "u", "content": "é"}],
    },
    {"id": "b", "question": "1+2?\n3?", "answer": "1/2", "year": None, "rate": None, "chat": []},
]
FLAT = [{name: value for name, value in row.items() if name != "chat"} for row in ROWS]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def read(path: Path, **how: Any) -> list[dict[str, Any]]:
    return [row for _, _, row in input_rows(str(path), "mine", **how)]


def test_every_form_gives_the_same_rows(tmp_path: Path) -> None:
    table = datasets.Dataset.from_list(ROWS)
    (tmp_path / "rows.jsonl").write_text(LINES)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(LINES.encode()))
    (tmp_path / "rows.json").write_text(json.dumps(ROWS, indent=1))
    (tmp_path / "lines.json").write_text(LINES)
    table.to_parquet(tmp_path / "rows [1].parquet")
    table.save_to_disk(tmp_path / "saved")
    arrow = next((tmp_path / "saved").glob("*.arrow")).relative_to(tmp_path)
    with (
        pyarrow.OSFile(str(tmp_path / "file.arrow"), "wb") as sink,
        pyarrow.ipc.new_file(sink, table.data.schema) as out,
    ):
        out.write_table(table.data.table)
    texts = ("rows.jsonl", "rows.jsonl.gz", "rows.json", "lines.json")
    for name in (*texts, "rows [1].parquet", "saved", arrow, "file.arrow"):
        assert read(tmp_path / name) == ROWS, name
    cells = [[str(value) if value is not None else "" for value in row.values()] for row in FLAT]
    quoted = [",".join(f'"{cell}"' for cell in row) for row in [[*FLAT[0]], *cells]]
    (tmp_path / "rows.csv").write_text("\ufeff" + "\n".join(quoted) + "\n")
    assert read(tmp_path / "rows.csv") == FLAT
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress((tmp_path / "rows.csv").read_bytes()))
    assert read(tmp_path / "rows.csv.gz") == FLAT


def test_a_folder_of_several_splits_is_read_by_split_and_files_keep_their_rows(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    (folder / "test-1.jsonl").write_text(LINES.splitlines()[0])
    (folder / "train-1.jsonl").write_text('{"a": 1}\n\n{"a": "x"}\n')
    (folder / "train-2.jsonl").write_text('{"b": [1]}\n')
    found = list(input_rows(str(tmp_path / "set"), "task.path=set"))
    assert found == [
        (1, "task.path=set, data/train-1.jsonl, row 1", {"a": 1}),
        (2, "task.path=set, data/train-1.jsonl, row 3", {"a": "x"}),
        (3, "task.path=set, data/train-2.jsonl, row 1", {"b": [1]}),
    ], "a column of mixed types is no column of one"
    assert read(tmp_path / "set", split="test") == ROWS[:1]
    with pytest.raises(ValueError, match=r"mine: it has no split 'dev': set task\.split to one of train, test"):
        read(tmp_path / "set", split="dev")
    table = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(train=table, validation=table.select([1])).save_to_disk(tmp_path / "saved")
    assert read(tmp_path / "saved", split="validation") == ROWS[1:]
    with pytest.raises(ValueError, match=r"set task\.eval_split to one of train, validation"):
        list(input_rows(str(tmp_path / "saved"), "task.eval_path=saved", "test"))
    datasets.DatasetDict(default=table).save_to_disk(tmp_path / "one")
    assert read(tmp_path / "one") == ROWS, "one split is read whatever it is called"


@pytest.mark.parametrize(
    ("cells", "read_as"),
    [
        (["1", "-2", ""], [1, -2, None]),
        (["1", "2.5"], [1, 2.5]),
        (["033", "7"], ["033", "7"]),
        (["1e3", "7"], ["1e3", "7"]),
        (["true", "False"], [True, False]),
        (["NaN", "null", "NA"], ["NaN", "null", "NA"]),
        (["1,000", "2"], ["1,000", "2"]),
        (["9" * 5000], ["9" * 5000]),
    ],
)
def test_a_cell_of_csv_is_a_number_where_its_column_can_be_written_back(
    cells: list[str], read_as: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("n,x\n" + "".join(f'"{cell}",y\n' for cell in cells))
    assert [row["n"] for row in read(tmp_path / "t.csv")] == read_as


def test_what_a_table_has_and_json_has_not(tmp_path: Path) -> None:
    import datetime

    rows = [{"x": float("nan"), "day": datetime.date(2026, 1, 2), "in": {"y": float("nan")}}]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == [{"x": None, "day": "2026-01-02", "in": {"y": None}}]
    datasets.Dataset.from_list([{"x": b"\x00"}]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="mine, row 1: x: Object of type bytes is not JSON serializable"):
        read(tmp_path / "b.parquet")
    datasets.Dataset.from_list([{"x": float("inf")}]).to_parquet(tmp_path / "i.parquet")
    with pytest.raises(ValueError, match="mine, row 1: x: it holds a number that is not finite"):
        read(tmp_path / "i.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.parquet", b"no table", "mine: it cannot be read as Parquet: ."),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "mine: it cannot be read as CSV: .* line 3"),
        ("t.csv", b"a,b\n\xff,2\n", "mine: it cannot be read as CSV: .*utf-8"),
        ("t.csv", b"", "mine: it cannot be read as CSV: "),
        ("t.csv", b"a,b\n", "mine: the file holds no rows"),
        ("t.jsonl.gz", b"no gzip", "mine: it cannot be read .*gzip"),
        ("t.jsonl.gz", gzip.compress(LINES.encode())[:-9], "mine: it cannot be read"),
        ("t.json", b"[1]", "mine, row 1: int where an object was expected"),
        ("t.json", b"[{]", "mine: not JSON"),
    ],
)
def test_a_broken_file_is_one_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_is_no_data_is_refused_with_what_would_be(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.md").write_text("x")
    with pytest.raises(ValueError, match=r"mine: notes\.md holds no rows: give a folder of \.jsonl, \.json, \.parquet"):
        read(tmp_path / "folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"mine: it is a folder without a data set: .*doesn't contain any data files"):
        read(tmp_path / "empty")
    with pytest.raises(ValueError, match="rows are not read from an address: give a file, a folder, or owner/name"):
        list(input_rows("s3://bucket/rows.jsonl", "mine"))
    with pytest.raises(ValueError, match="mine: there is no such file"):
        list(input_rows("gsm8k", "mine"))


def test_a_data_set_of_the_hub_is_read_by_split_and_subset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The builder that the hub's name gives is that of a folder here."""
    folder, builder_of = tmp_path / "hub", datasets.load_dataset_builder
    folder.mkdir()
    for split, rows in (("train", ROWS), ("test", ROWS[1:])):
        datasets.Dataset.from_list(rows).to_parquet(folder / f"{split}.parquet")

    def from_the_hub(path: str, name: str | None) -> Any:
        if (path, name) != ("owner/name", "default"):
            raise ConnectionError(f"Couldn't reach {path!r} on the Hub\nand more")
        return builder_of(str(folder), cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset_builder", from_the_hub)
    monkeypatch.chdir(tmp_path)
    found = list(input_rows("owner/name", "task.path=owner/name", "test", "default"))
    assert found == [(1, "task.path=owner/name, row 1", ROWS[1])]
    with pytest.raises(ValueError, match=r"it has no split 'dev': set task\.split to one of train, test"):
        list(input_rows("owner/name", "task.path=owner/name", "dev", "default"))
    with pytest.raises(Unreachable, match=r"can be fetched: Couldn't reach 'owner/nam' on the Hub$"):
        list(input_rows("owner/nam", "mine"))
