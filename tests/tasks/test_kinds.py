"""Each row of the table of tasks is true of its class, and a task is built by its row."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.config.task_kinds import RATED, TASK_KINDS
from raysgpo.judging.rule import first_wrong
from raysgpo.records import TESTS
from raysgpo.tasks.grader import DeadlineGrader, InlineGrader, make_grader
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.ratings import COIN_FLIP, REWARD_RANGE
from raysgpo.tasks.splitters import splitter
from raysgpo.tasks.task import Task

FIELDS: dict[str, Any] = {
    "question": "1+1?",
    "answer": "2",
    "solution": "1+1=2",
    "solution_a": "2",
    "solution_b": "3",
    "correct_a": True,
    "correct_b": False,
    "tests": "assert add(1) == 2",
    "entry_point": "add",
}
"""A value of each field that a row of a file may have; of any other, a text."""


def settings(kind: str, folder: Path) -> Config:
    """Settings of the task, with a file of rows that have the fields it names and no other."""
    words = [f"task.kind={kind}", "task.prompts=6", "evaluation.prompts=4", "task.check_solutions=0"]
    if (fields := TASK_KINDS[kind].fields) is not None:
        rows = [{name: FIELDS.get(name, "text") for name in fields} | {"question": f"{n}+1?"} for n in range(10)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words.append(f"task.path={folder / 'rows.jsonl'}")
    return resolve({}, overrides=words)


def built(kind: str, folder: Path) -> Task:
    return build_task(settings(kind, folder))


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_a_row_is_true_of_the_task_that_it_names(kind: str, tmp_path: Path) -> None:
    row, task = TASK_KINDS[kind], built(kind, tmp_path)
    assert isinstance(task, resolve_name(row.factory)) and task.reward_range == row.reward_range
    assert (len(task.train), len(task.held_out)) == (6, 4)
    assert row.tiny is None or callable(resolve_name(row.tiny))
    # A field that the task does not read is kept as metadata, where a judge finds the tests too.
    assert not set(row.fields or ()) & {name for problem in task.train for name in problem.metadata} - {TESTS}


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_the_splitter_of_a_row_cuts_as_the_task_does(kind: str, tmp_path: Path) -> None:
    config = settings(kind, tmp_path)
    few = config.task.model_copy(update={"max_reasoning_steps": 3, "code_steps": "lines"})
    task, split = build_task(config.model_copy(update={"task": few})), splitter(few)
    assert split is not None
    for text in ("", "3+4=7\n7-2=5\n#### 5", "One.\n\nTwo.\n\n```python\na = 1\nb = 2\n```\n\nThree.\n\nFour."):
        assert split(text) == task.split(text)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_task_has_its_instruction_from_the_settings(kind: str, tmp_path: Path) -> None:
    config = settings(kind, tmp_path)
    task = config.task.model_copy(update={"instruction": "Mind the signs."})
    built_so = build_task(config.model_copy(update={"task": task}))
    assert all(one.prompt.endswith("\nMind the signs.") for one in (*built_so.train, *built_so.held_out))


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_grading_is_in_place_just_where_the_row_says_that_it_is_fast(kind: str, tmp_path: Path) -> None:
    config = settings(kind, tmp_path)
    grader = make_grader(build_task(config), config)
    assert isinstance(grader, InlineGrader if TASK_KINDS[kind].bounded_grading else DeadlineGrader)
    grader.close()


def test_where_steps_go_by_rule_the_references_are_right_to_it(tmp_path: Path) -> None:
    for kind in (name for name, row in TASK_KINDS.items() if row.steps_by_rule):
        task = built(kind, tmp_path)
        for problem in task.train:
            steps = task.split(problem.reference or "")
            assert first_wrong(problem, steps) == len(steps) > 1


def test_the_numbers_of_the_verifier_tasks_are_those_of_their_ratings() -> None:
    assert RATED == REWARD_RANGE
    for kind in ("verifier", "arithmetic_verifier"):
        row = TASK_KINDS[kind]
        assert (row.reward_range, row.threshold, row.judgement) == (REWARD_RANGE, COIN_FLIP, True)


def test_a_class_with_other_rewards_than_its_row_is_a_mistake_of_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASK_KINDS, "arithmetic", replace(TASK_KINDS["arithmetic"], reward_range=(0.0, 2.0)))
    with pytest.raises(AssertionError, match=r"gives rewards of \(0\.0, 1\.0\), but its row in the table"):
        built("arithmetic", tmp_path)


LEAN = """
import sys
from raysgpo.config.overrides import resolve
from raysgpo.tasks.kinds import build_task
build_task(resolve({}, overrides=["task.prompts=2", "evaluation.prompts=1"]))
print([name for name in ("math_verify", "raysgpo.tasks.math", "raysgpo.tasks.verifier") if name in sys.modules])
"""


def test_the_tasks_that_are_not_asked_for_are_not_imported() -> None:
    result = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, timeout=120)
    assert (result.stdout.strip(), result.returncode) == ("[]", 0), result.stderr
