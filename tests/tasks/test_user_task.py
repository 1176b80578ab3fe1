"""A task class of the user's: what it lacks, and what is wrong with it, is one line before anything starts."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.task_kinds import TaskKind
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.one_row import check_on_one_row
from raysgpo.tasks.task import Grade

WHOLE = """
import threading
from raysgpo import Grade, Problem

class Mine:
    bounded_grading = True
    reward_range = (-1.0, 2.0)

    def __init__(self, config, held_out):
        self.train = [Problem(f"p{n}", f"{n}?", str(n), metadata={"n": n}) for n in range(config.prompts)]
        self.held_out = self.train[:0]

    def grade(self, problem, text):
        return Grade(text == problem.answer, {"correctness": float(problem.metadata["n"])})

    def split(self, text):
        return list(text)
"""


def settings(folder: Path, text: str, *words: str) -> Config:
    (folder / "mine.py").write_text(text)
    return resolve({}, overrides=[f"task={folder}/mine.py:Mine", "task.prompts=3", *words])


def test_its_row_is_read_from_its_attributes(tmp_path: Path) -> None:
    config = settings(tmp_path, WHOLE)
    assert config.task.row == TaskKind(config.task.kind, reward_range=(-1.0, 2.0), bounded_grading=True)
    task = pickle.loads(pickle.dumps(build_task(config)))
    assert task.reward_range == (-1.0, 2.0) and task.split("ab") == ["a", "b"] and len(task.train) == 3
    grade = pickle.loads(pickle.dumps(task.grade))
    assert grade(task.train[2], "2") == Grade(True, {"correctness": 2.0})


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("class Mine", "class Min", "there is no Mine in it; did you mean Min?"),
        ("config, held_out", "config", "it is built as Mine(config, held_out), of the settings and the number of"),
        ("(-1.0, 2.0)", "(2.0, -1.0)", "rewards reach from the least to the largest, not (2.0, -1.0)"),
        ("(-1.0, 2.0)", "3", "Mine.reward_range=3: Input should be a valid tuple"),
        ("bounded_grading = True", "fields = 'question'", "Mine.fields='question': Input should be a valid tuple"),
        ("bounded_grading = True", "fields = ('question',)", "needs task.path, rows of question"),
    ],
)
def test_what_is_wrong_with_the_class_is_told_with_the_settings(
    line: str, instead: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, WHOLE.replace(line, instead))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("def split", "def divide", "Mine lacks split: split(text), which gives its reasoning steps"),
        ("def grade", "def mark", "Mine lacks grade: grade(problem, text), which gives a Grade"),
        ("self.train[:0]", "()\n        del self.train", "Mine lacks train: the problems to train on"),
        ("self.train[:0]", "None", "Mine.held_out is NoneType where a list of Problem was expected"),
        ("self.train[:0]", "[1]", "Mine.held_out holds int where a Problem was expected"),
        ("range(config.prompts)", "()", "Mine.train is empty: there is nothing to train on"),
        ("range(config.prompts)", "[0][1:2].x", "raised AttributeError: 'list' object has no attribute 'x' (mine.py"),
        (
            "self.train[:0]",
            "()\n        self.lock = threading.Lock()",
            "cannot be sent to other processes (TypeError: ",
        ),
        ("list(text)", "text.split('0')", "the steps of split joined are not the text: '' for '0'"),
        ("Grade(text", "(text", "tried on the problem 'p0': TypeError: the verifier gave tuple where a Grade was"),
        ('float(problem.metadata["n"])', "text.size", "'str' object has no attribute 'size' (mine.py, line 14)"),
    ],
)
def test_what_it_lacks_is_told_when_it_is_built_or_tried(line: str, instead: str, said: str, tmp_path: Path) -> None:
    config = settings(tmp_path, WHOLE.replace(line, instead))
    with pytest.raises(ValueError) as caught:
        check_on_one_row(build_task(config), config)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"task={tmp_path}/mine.py:Mine: ")
