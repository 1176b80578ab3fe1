"""What was read, what was not trained on, and why: on the console, by --dry-run, in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.output.run_folder import RunFolder
from raysgpo.start.data_report import data_comments, write_report
from raysgpo.start.preparation import prepare
from tests.start.small import shape_of, untrained

ROWS = [
    {"id": "a", "question": "1?", "answer": "1", "year": 1999, "solution": "x"},
    {"id": "b", "question": "2?", "answer": "2", "year": 1980},
    {"id": "c", "question": "3?", "answer": "$3$ at $x=1$ or so", "year": 1999},
    {"id": "d", "question": "4?" * 60, "answer": "4", "year": 1999},
    {"id": "e", "question": "5?", "answer": "5", "year": 1999},
    {"id": "f", "question": " 5?", "answer": "5", "year": 1999},
    {"id": "g", "question": "7?", "answer": "7", "year": 1999},
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def config(rows: Path, *words: str) -> Config:
    (rows.parent / "eval.jsonl").write_text(json.dumps(ROWS[4]) + "\n")
    fixed = [
        "task.kind=math",
        f"task.path={rows}",
        f"task.eval_path={rows.parent / 'eval.jsonl'}",
        'task.instruction=""',
    ]
    return resolve({}, overrides=[*fixed, "judge=none", "sampling.max_tokens=40", "task.examples=1", *words])


def test_every_row_that_is_not_trained_on_is_told_with_the_reason(rows: Path, tmp_path: Path) -> None:
    model, said = untrained(tmp_path / "model", shape_of(100)), list[str]()
    settings = config(rows, "task.where=year > 1990", f"model={model}")
    prepared = prepare(settings, said.append)
    one_value = "its answer is no single value: write the final answer alone"
    assert said[0] == (
        "data: 7 rows of rows.jsonl and 1 rows of eval.jsonl; 3 to train on, 1 held out; left out: "
        f"1 (task.where is false: row 2); 1 ({one_value}: row 3, such as '$3$ at $x=1$ or so'); "
        "2 (its question is held out: rows 5, 6)"
    )
    run = RunFolder.create(tmp_path, "run")
    assert not write_report(prepared, run, said.append).report.sources
    written = json.loads(run.data.read_text())
    assert [(source["setting"], source["rows"]) for source in written["sources"]] == [
        ("task.path", 7), ("task.eval_path", 1)
    ]  # fmt: skip
    assert {row["id"]: row["why"] for row in written["rows"]} == {
        "a": "task.examples shows it before every problem",
        "b": "task.where is false",
        "c": one_value,
        "d": "its prompt is longer than 60 tokens",
        "e": "its question is held out",
        "f": "its question is held out",
    }
    assert written["rows"][0]["where"] == f"task.path={rows}, row 2" and written["counts"]["train"] == 1


def test_a_run_that_goes_on_with_other_rows_is_told(rows: Path, tmp_path: Path) -> None:
    model, said, run = untrained(tmp_path / "model", shape_of(100)), list[str](), RunFolder.create(tmp_path, "run")
    for change in (False, False, True):
        if change:
            rows.write_text(rows.read_text().replace('"7"', '"8"'))
        write_report(prepare(config(rows, f"model={model}"), lambda _: None), run, said.append)
        assert bool(said) == change
    assert said == [f"warning: task.path={rows} held other rows when the run began: it goes on with other data"]


def test_a_dry_run_says_the_same_and_refuses_rows_that_are_wrong(rows: Path, tmp_path: Path) -> None:
    first, *others = data_comments(config(rows, "task.where=year > 1990"))
    assert first.startswith("# data: 7 rows of rows.jsonl and 1 rows") and len(others) == 4
    assert others[0] == f"#   task.path={rows}, row 2 b: task.where is false"
    assert list(data_comments(resolve({}))) == []
    (missing,) = data_comments(config(rows, f"task.path={tmp_path / 'none.jsonl'}"))
    assert missing.startswith("# data is not read: task.path=") and "there is no such file" in missing
    with pytest.raises(ConfigError, match="has a field yeer; did you mean year"):
        list(data_comments(config(rows, "task.where=yeer > 1")))
