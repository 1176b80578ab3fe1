"""Columns, filters, several sources: what a task gets of the rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, dump, load, resolve
from raysgpo.data.report import reading
from raysgpo.data.rows import prefixes, read_rows
from raysgpo.tasks.loaded import load_task

CHAT = [{"role": "system", "content": "S"}, {"role": "user", "content": "2+2"}]
VERL = {"prompt": CHAT, "reward_model": {"ground_truth": "4", "style": "rule"}, "data_source": "x"}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def plain(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"question": f"{i}+{i}?", "answer": str(2 * i), "year": 1990 + i, **more} for i in range(count)]


def config(*words: str) -> Config:
    return resolve({}, overrides=["task.kind=math", "evaluation.prompts=1", *words])


def rows(*words: str) -> list[dict[str, Any]]:
    return [row for _, _, row in read_rows(config(*words).task)]


def refused(*words: str) -> str:
    with pytest.raises(ValueError) as caught:
        rows(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["task.columns={question: prompt, answer: reward_model.ground_truth}"],
        ["task.columns={question:prompt,answer:reward_model.ground_truth}"],
        ["task.columns.question=prompt", "task.columns.answer=reward_model.ground_truth"],
        ["task.columns={question: [problem, prompt], answer: [reward_model.ground_truth]}"],
    ],
)
def test_columns_are_named_in_every_spelling(words: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [VERL])
    settings = config(f"task.path={path}", *words)
    assert rows(f"task.path={path}", *words) == [
        {"id": "row-1", "question": CHAT, "answer": "4", "reward_model": VERL["reward_model"], "data_source": "x"}
    ]
    (tmp_path / "config.yaml").write_text(dump(settings))
    assert resolve(load(tmp_path / "config.yaml")) == settings


def test_a_column_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [VERL])
    assert refused(f"task.path={path}", "task.columns={question: promt}") == (
        f"task.path={path}: there is no column promt (task.columns={{question: promt}}); did you mean prompt? "
        "it has prompt, reward_model, reward_model.ground_truth, reward_model.style, data_source"
    )
    with pytest.raises(ValueError, match=r"row 1: no question: .* its column: task.columns={question: prompt}"):
        load_task(config(f"task.path={path}"))
    with pytest.raises(ConfigError, match=r"task\.columns=.*: question: name its column"):
        config("task.path=x.jsonl", "task.columns={question: 3}")
    with pytest.raises(ConfigError, match=r"task\.columns=problem: write fields with their columns"):
        config("task.path=x.jsonl", "task.columns=problem")


def test_a_column_may_be_two_fields_as_in_gsm8k(tmp_path: Path) -> None:
    answer = "1+1=2, of 3 clips\n#### 1,234"
    path = write(tmp_path / "t.jsonl", [{"question": "1?", "answer": answer}, {"question": "2?", "answer": answer}])
    task = load_task(config(f"task.path={path}", "task.columns={solution: answer}")).task
    problem = task.train[0]
    assert problem.reference == answer and task.grade(problem, "\\boxed{1234}").correct
    assert not task.grade(problem, "\\boxed{2}").correct and not problem.metadata


def test_a_column_that_a_row_lacks_is_null_there(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"q": "1", "cot": "x", "id": 7}, {"q": "2"}])
    found = rows(f"task.path={path}", "task.columns={question: q, solution: cot}")
    assert found == [{"id": "7", "question": "1", "solution": "x"}, {"id": "row-2", "question": "2", "solution": None}]


@pytest.mark.parametrize(
    ("where", "years"),
    [
        ("1992 <= year <= 1993", [1992, 1993]),
        ("year in [1990, 1994] or answer == '2'", [1990, 1991, 1994]),
        ("not (year < 1993) and len(question) == 4", [1993, 1994]),
        ("'yes' == tag and year % 2 == 0", [1990, 1992, 1994]),
        ("tag.startswith('y') and int(answer) > 6", [1994]),
        ("missing is None and year == 1990", []),
    ],
)
def test_rows_are_filtered_by_an_expression(where: str, years: list[int], tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", plain(5, tag="yes"))
    if not years:
        message = refused(f"task.path={path}", f"task.where={where}")
        assert message.startswith(
            f"task.where={where}: no row of task.path={path} has a field missing; it has question"
        )
        return
    with reading() as report:
        assert [row["year"] for row in rows(f"task.path={path}", f"task.where={where}")] == years
    assert len(report.left_out) == 5 - len(years)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("yaer > 1990", "no row of task.path=.* has a field yaer; did you mean year\\? it has question, answer, year"),
        ("year > 3000", "none of the 3 rows of task.path=.* passes"),
        ("year > ", "no expression \\(invalid syntax\\); write one as in 1997 <= year <= 2023"),
        ("year = 3", "no expression"),
        ("open('/etc/passwd')", "no such function open; there are len, int"),
        ("(lambda: 1)()", "row 1: task.where=.*"),
        ("question.__class__", "row 1: task.where=.*access"),
        ("year > '1'", "row 1: task.where=.*not supported between .* \\(year is 1990\\)"),
        ("9 ** 9 ** 9 > year", "row 1: task.where=.*"),
    ],
)
def test_a_filter_that_cannot_be_is_one_line(where: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", plain(3))
    assert re.search(message, refused(f"task.path={path}", f"task.where={where}"))


def test_several_files_keep_their_ids_apart_and_say_where_rows_are_from(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    a, b = write(tmp_path / "a.jsonl", plain(2)), write(tmp_path / "x" / "b.jsonl", plain(3)[2:])
    found = rows(f"task.path=[{a},{b}]")
    assert [(row["id"], row["source"]) for row in found] == [("a:row-1", "a"), ("a:row-2", "a"), ("b:row-1", "b")]
    settings = config(f"task.path={a}", f"task.eval_path=[{a},{b}]")
    held = [row for _, _, row in read_rows(settings.task, "eval_path")]
    assert [row["category"] for row in held] == ["a", "a", "b"]
    assert prefixes(["/d/x/t.jsonl", "/d/y/t.jsonl.gz", "o/t"]) == ["x/t:", "y/t:", "o/t:"]
    assert prefixes(["/d/t.jsonl", "/d/t.csv"]) == ["t.jsonl:", "t.csv:"]


@pytest.mark.parametrize("spelled", ["{%s: 2.5, %s: 1}", "{%s:2.5,%s:1}"])
def test_a_weight_is_how_often_a_row_stands_in_an_epoch(spelled: str, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.jsonl", plain(8)), write(tmp_path / "b.jsonl", plain(12)[8:])
    settings = config(f"task.path={spelled % (a, b)}")
    loaded = load_task(settings)
    ids = [problem.id for problem in loaded.train]
    held = loaded.task.held_out[0].id
    in_a, in_b = 8 - held.startswith("a"), 4 - held.startswith("b")
    assert len(set(ids)) == len(ids) == 2 * in_a + round(in_a / 2) + in_b
    assert ids[: in_a + in_b] == [problem.id for problem in loaded.task.train]
    assert sum(one.startswith("a:row-") and one.endswith("*2") for one in ids) == in_a
    assert [problem.id for problem in load_task(settings).train] == ids, "the same in every run"
    assert loaded.report.train == len(ids)


def test_a_weight_below_one_leaves_rows_out(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.jsonl", plain(40)), write(tmp_path / "b.jsonl", plain(44)[40:])
    loaded = load_task(config(f"task.path={{{a}: 0.25, {b}: 1}}"))
    held = loaded.task.held_out[0].id
    in_a = 40 - held.startswith("a")
    assert sum(problem.id.startswith("a") for problem in loaded.train) == round(in_a / 4)
    left = [row for row in loaded.report.left_out if row.why == "task.path weighs it below 1"]
    assert len(left) == in_a - round(in_a / 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task.path=[]"], "task.path=[]: name one source, several [a.jsonl,b.parquet], or several with weights"),
        (["task.path={}"], "task.path={}: name one source"),
        (["task.path=3"], "task.path=3: name one source"),
        (["task.path={a.jsonl: 0}"], "a.jsonl: 0 where a weight above 0 was expected"),
        (["task.path={a.jsonl: many}"], "a.jsonl: many where a weight above 0 was expected"),
        (["task.path=[a.jsonl,a.jsonl]"], "a source is named twice: give it a weight"),
        (["task.path=a.jsonl", "task.eval_path={b.jsonl: 2}"], "task.eval_path takes no weights"),
    ],
)
def test_sources_that_cannot_be_are_named_with_their_key(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(*words)
    assert message in str(caught.value) and "task." in str(caught.value)


def test_hub_names_stay_and_files_become_absolute() -> None:
    assert config("task.path=openai/gsm8k").task.path == "openai/gsm8k"
    both = config("task.path=[openai/gsm8k,rows.jsonl]").task.path
    assert both == ("openai/gsm8k", str(Path("rows.jsonl").absolute()))
    assert config("task.path={data/rows.csv: 2}").task.path == {str(Path("data/rows.csv").absolute()): 2.0}


def test_an_id_comes_once(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"id": 1}, {"id": "1"}])
    assert "row 2: the id '1' was used by an earlier row" in refused(f"task.path={path}")
    path = write(tmp_path / "t.jsonl", [{"id": [1]}])
    assert "row 1: id is list where text was expected" in refused(f"task.path={path}")
