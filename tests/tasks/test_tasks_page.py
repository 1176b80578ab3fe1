"""docs/tasks.md shows the table of tasks, and the task of one's own that it shows works."""

from __future__ import annotations

import asyncio
import pickle
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.task_kinds import TASK_KINDS, TaskKind
from raysgpo.tasks.grader import InlineGrader, make_grader
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.one_row import check_on_one_row

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
(FILE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def cells(row: TaskKind) -> dict[str, str]:
    """A row as the page writes it."""
    named = {"fields": ", ".join(row.fields or ()) or "-", "reward_range": "{:.4g} to {:.4g}".format(*row.reward_range)}
    return {name: named.get(name) or cell(value) for name, value in asdict(row).items()}


def cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if isinstance(value, str) else f"{value:.4g}"


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The page's file, in a folder of its own."""
    (tmp_path / "backwards.py").write_text(FILE)
    return f"{tmp_path}/backwards.py:BackwardsTask"


def settings(task: str, *words: str) -> Config:
    return resolve({}, overrides=[f"task={task}", "task.prompts=30", "evaluation.prompts=20", *words])


def table(first: str) -> list[list[str]]:
    """The rows, head included, of the page's table whose first head is ``first``."""
    lines = PAGE[PAGE.index(f"| {first} |") :].partition("\n\n")[0].splitlines()
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def test_the_table_of_tasks_is_true() -> None:
    head, *rows = table("task.kind")
    shown = {row[0].strip("`"): dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    assert shown == {name: cells(row) for name, row in TASK_KINDS.items()}


def test_each_part_of_a_row_is_explained() -> None:
    assert [row[0].strip("`") for row in table("of a row")[1:]] == table("task.kind")[0][1:]


def test_a_task_of_ones_own_is_a_file(own: str) -> None:
    config = settings(own)
    task = build_task(config)
    check_on_one_row(task, config)
    assert (len(task.train), len(task.held_out)) == (30, 20)
    assert not {one.prompt for one in task.train} & {one.prompt for one in task.held_out}
    problem, text = task.train[0], "well,\n4321"
    assert "".join(task.split(text)) == text
    task = pickle.loads(pickle.dumps(task))
    grader = make_grader(task, config)
    assert isinstance(grader, InlineGrader)
    for answer, correct in ((problem.answer, True), (f" {problem.answer}\n", True), (f"{problem.answer}0", False)):
        grade = asyncio.run(grader.grade(problem, answer))
        assert (grade.correct, grade.parts, grade.failure) == (correct, {"correctness": float(correct)}, None)
    grader.close()


def test_the_configuration_knows_a_task_of_ones_own_by_its_class_alone(own: str) -> None:
    config = settings(own, "algorithm=corpo", "algorithm.r_min_correct=0.5")
    assert config.task.kind == own and config.task.row == TaskKind(own, bounded_grading=True)
    assert config.task.code is not None and config.task.sha256 == config.task.code.sha256
    for words, told in (
        (["algorithm=corpo"], "needs algorithm.r_min_correct"),
        (["algorithm=sgpo", "judge=rule"], "not of "),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            settings(own, *words)


def test_a_word_that_names_no_task_is_told_how_ones_own_is_written() -> None:
    with pytest.raises(ConfigError, match=r"task\.kind=backwards: no such task; choose from .*, FILE\.py:CLASS"):
        settings("backwards")
