"""The table of tasks, and what the configuration makes of its rows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import raysgpo
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.task_kinds import TASK_KINDS, TaskKind

SOURCES = sorted(Path(raysgpo.__file__).parent.rglob("*.py"))


def compared(tree: ast.AST) -> Iterator[str]:
    """Every text that is compared with, matched, or looked up."""
    for node in ast.walk(tree):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = list(node.keys)
        yield from (
            one.value
            for part in parts
            if part is not None
            for one in ast.walk(part)
            if isinstance(one, ast.Constant) and isinstance(one.value, str)
        )


def refused(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve({}, overrides=words)
    return str(caught.value)


def made_up(monkeypatch: pytest.MonkeyPatch, **row: Any) -> None:
    monkeypatch.setitem(TASK_KINDS, "made_up", TaskKind("nowhere:Task", **row))


def test_no_file_but_the_table_switches_on_the_name_of_a_task() -> None:
    # Other words: of the command ``jobs/sft.py verifier``, of a web socket's end, of a mark in a text.
    others = {"making", "http_key", "reasoning"}
    switching = [
        file.stem
        for file in SOURCES
        if file.stem not in others and TASK_KINDS.keys() & set(compared(ast.parse(file.read_text())))
    ]
    assert switching == ["task_kinds"]
    source = 'if kind in ("math", x):\n    a = {"verifier": 1}\nmatch kind:\n    case "arithmetic":\n        pass\n'
    assert set(compared(ast.parse(source))) == {"math", "verifier", "arithmetic"}


def test_a_task_that_is_not_in_the_table_is_refused_with_the_names_and_the_nearest() -> None:
    names = ", ".join(TASK_KINDS)
    assert names.startswith("arithmetic, math, code, verifier, arithmetic_verifier")
    assert refused("task.kind=mth") == f"task.kind=mth: no such task; choose from {names}; did you mean math?"
    assert refused("task.kind=x") == f"task.kind=x: no such task; choose from {names}"


def test_a_task_that_reads_rows_needs_their_file_and_says_what_is_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for fields, said in ((("a",), "a"), (("a", "b"), "a and b"), (("a", "b", "c"), "a, b and c")):
        made_up(monkeypatch, fields=fields)
        assert refused("task.kind=made_up") == f"task.kind=made_up needs task.path, a JSONL file of {said}"
    made_up(monkeypatch)
    assert resolve({}, overrides=["task.kind=made_up"]).task.row is TASK_KINDS["made_up"]


def test_a_row_says_whether_steps_can_be_checked_by_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["task.kind=made_up", "algorithm=sgpo", "judge=rule"]
    made_up(monkeypatch)
    checked = " and ".join(name for name, row in TASK_KINDS.items() if row.steps_by_rule)
    assert checked.startswith("arithmetic")
    assert refused(*words).startswith(f"judge=rule can check the steps of task.kind={checked} only, not of made_up: ")
    made_up(monkeypatch, steps_by_rule=True)
    assert resolve({}, overrides=words).judge.kind == "rule"
    assert f"task.kind={checked} and made_up only, not of math" in refused(*words, "task.kind=math", "task.path=x")


def test_a_row_says_whether_answers_are_judgements(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch)
    for words in (["guidance=guided"], ["algorithm=sgpo", "judge=tiny"]):
        resolve({}, overrides=["task.kind=made_up", *words])
    made_up(monkeypatch, judgement=True)
    for words in (["guidance=guided"], ["algorithm=sgpo", "judge=tiny"]):
        message = refused("task.kind=made_up", *words)
        assert message.startswith("task.kind=made_up takes neither guidance nor partial credit: ")


def test_a_row_gives_the_threshold_where_it_knows_one(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["task.kind=made_up", "algorithm=corpo"]
    made_up(monkeypatch)
    assert "algorithm.baseline=corpo needs algorithm.r_min_correct" in refused(*words)
    made_up(monkeypatch, threshold=0.25)
    assert resolve({}, overrides=words).task.row.threshold == 0.25


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reward_range": (1.0, 1.0)}, "rewards reach from the least to the largest"),
        ({"threshold": 1.0}, "tells no answers apart"),
        ({"threshold": 0.0}, "tells no answers apart"),
        ({"fields": ()}, "a task that reads no field of a file has fields=None"),
    ],
)
def test_a_row_that_contradicts_itself_is_a_mistake_of_its_writer(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        replace(TASK_KINDS["arithmetic"], **change)


def test_the_default_is_in_the_table() -> None:
    assert Config().task.row is TASK_KINDS["arithmetic"]
