"""A reward of the user's: what it may be called with, what it may give, and what is said of one that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.records import Problem
from raysgpo.tasks.grader import Grader, RewardingGrader, make_grader
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.one_row import check_on_one_row
from raysgpo.tasks.task import Grade
from raysgpo.tasks.user_reward import UserReward, combined
from raysgpo.tasks.worth import Failed, Worth

PROBLEM = Problem("p", "1+1?", "2", metadata={"level": 3})
OTHER = Problem("q", "?", "?")


def settings(folder: Path, function: str, *words: str) -> Config:
    (folder / "mine.py").write_text(f"import asyncio, os, threading, time\nfrom raysgpo import Grade\n{function}")
    return resolve({}, overrides=[f"reward={folder}/mine.py:f", "task.prompts=4", "evaluation.prompts=2", *words])


def worths(folder: Path, function: str, *texts: str) -> list[Worth]:
    """In this process, as a child calls it."""
    reward = UserReward.of(settings(folder, function).reward.code)
    assert reward is not None
    found = reward(PROBLEM, list(texts))
    return asyncio.run(found) if asyncio.iscoroutine(found) else found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("def f(problem, text): return len(text)", [{"f": 2.0}, {"f": 3.0}]),
        ("def f(text): return {'a': len(text), 'b': True}", [{"a": 2.0, "b": 1.0}, {"a": 3.0, "b": 1.0}]),
        ("def f(text, problem): return problem.metadata['level']", [{"f": 3.0}, {"f": 3.0}]),
        ("def f(problem, texts, bonus=1): return [len(t) + bonus for t in texts]", [{"f": 3.0}, {"f": 4.0}]),
        ("async def f(text):\n    await asyncio.sleep(0)\n    return len(text)", [{"f": 2.0}, {"f": 3.0}]),
        ("async def f(texts): return [len(t) for t in texts]", [{"f": 2.0}, {"f": 3.0}]),
        ("import numpy\ndef f(texts): return numpy.array([1, 2])", [{"f": 1.0}, {"f": 2.0}]),
        ("def f(text): return Grade(len(text) == 2)", [Grade(True), Grade(False)]),
        ("class F:\n    lock = threading.Lock()\n    def __call__(self, text): return 1\nf = F()", [{"f": 1.0}] * 2),
        ("f = lambda problem, text: 0.5", [{"f": 0.5}] * 2),
    ],
)
def test_it_gives_a_number_or_parts_or_a_grade(function: str, expected: list[Any], tmp_path: Path) -> None:
    assert worths(tmp_path, function, "ab", "abc") == expected


def test_an_async_one_is_asked_about_all_answers_at_once_and_fails_for_one_alone(tmp_path: Path) -> None:
    function = """
waiting = 0
async def f(text):
    global waiting
    waiting += 1
    await asyncio.sleep(0.01)
    return waiting / len(text)
"""
    assert worths(tmp_path, function, "ab", "", "a") == [
        {"f": 1.5},
        Failed("errors", "ZeroDivisionError: division by zero (mine.py, line 9)"),
        {"f": 3.0},
    ]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("def f(completions, **columns): ...", "f(completions, **columns): it is called as f(problem, text) for an"),
        (
            "def f(data_source, solution_str, ground_truth): ...",
            "it is called as f(problem, text) for an answer, or f(",
        ),
        ("def f(problem, text, texts): ...", "it is called as"),
        ("def f(problem): ...", "it is called as"),
        ("f = 3", "a function was expected, and f is none"),
        ("class f: ...", "a function was expected, and f is none"),
    ],
)
def test_one_that_cannot_be_called_so_is_refused(function: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        UserReward.of(settings(tmp_path, function).reward.code)
    assert str(caught.value).startswith(f"reward={tmp_path}/mine.py:f: ") and said in str(caught.value)


def test_parts_are_added_and_a_grade_stands_in_the_tasks_place() -> None:
    task = Grade(True, {"correctness": 1.0, "format": 0.1}, readings={"rating": 2.0})
    added = combined(task, {"f": 0.5}, (0.0, 1.0))
    assert added == Grade(True, {"correctness": 1.0, "format": 0.1, "f": 0.5}, readings={"rating": 2.0})
    assert combined(task, Grade(False, {"f": 2.0}), (-4.0, 1.0)) == Grade(False, {"correctness": -4.0, "f": 2.0})
    ordinal = Grade(True, {"correctness": 0.7})
    assert combined(task, ordinal, (0.0, 1.0)) == ordinal
    failed = Grade(False, {"correctness": 0.0}, failure="timeouts", why="late")
    assert combined(failed, {"f": 0.5}, (0.0, 1.0)) == failed
    assert combined(failed, ordinal, (0.0, 1.0)) == ordinal, "the task's word is not asked for"


@pytest.mark.parametrize(
    ("worth", "said"),
    [
        ({"correctness": 1.0}, "a part correctness, which is the task's: give a Grade to stand in its place"),
        ({"format": 1.0}, "a part format, which the task gives too: call it otherwise"),
        (Grade(True, {"correctness": 7.0}), "correctness=7: it is 0 to 1 in this task"),
    ],
)
def test_what_would_be_taken_for_the_tasks_own_is_an_error(worth: Worth, said: str) -> None:
    assert combined(Grade(True, {"correctness": 1.0, "format": 0.1}), worth, (0.0, 1.0)) == Failed("errors", said)


WRONG = {
    "raises": ("def f(problem, text):\n    return text.size", "'str' object has no attribute 'size' (mine.py, line 4)"),
    "hangs": ("def f(text):\n    while True: pass", "no verdict after 0.2 s of CPU time"),
    "gives text": ("def f(text): return '1'", "TypeError: f gave str '1' where a number, a dict of numbers or a Grade"),
    "gives nothing": ("def f(text): pass", "TypeError: f gave None where a number"),
    "wrong length": ("def f(texts): return [1.0]", "ValueError: f gave 1 results for 2 answers: give one an answer"),
    "one for all": ("def f(texts): return 1.0", "TypeError: f gave float 1.0 for 2 answers: give a list of 2"),
    "not finite": ("def f(text): return float('nan')", "ValueError: f gave nan, which is no finite number"),
    "not a number": ("def f(text): return {'a': '1'}", "TypeError: f's a gave str '1' where a number"),
    "dies": ("def f(text): os._exit(3)", "the grading process died: EOFError()"),
    "takes the task's place": ("def f(text): return {'correctness': 1}", "a part correctness, which is the task's"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_one_that_is_wrong_is_told_before_anything_starts(name: str, tmp_path: Path) -> None:
    function, said = WRONG[name]
    config = settings(tmp_path, function, "task.grade_deadline=0.2")
    with pytest.raises(ValueError) as caught:
        check_on_one_row(build_task(config), config)
    assert said in str(caught.value) and str(caught.value).startswith(f"reward={tmp_path}/mine.py:f: tried on the ")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_what_does_not_pickle_is_no_mistake(tmp_path: Path) -> None:
    config = settings(tmp_path, "LOCK = threading.Lock()\ndef make():\n    return lambda text: 1.0\nf = make()")
    check_on_one_row(build_task(config), config)


@pytest.fixture
def grader(tmp_path: Path) -> Iterator[Grader]:
    config = settings(
        tmp_path,
        "def f(problem, text):\n    if text == 'hang':\n        while True: pass\n    return 1 / len(text)",
        "task.grade_deadline=0.3",
    )
    grader = make_grader(build_task(config), config)
    yield grader
    grader.close()


@pytest.mark.slow
def test_an_answer_that_it_fails_on_is_counted_and_takes_no_other_with_it(grader: Grader) -> None:
    assert isinstance(grader, RewardingGrader)
    grades = asyncio.run(grader.grades(Problem("p", "1+1=?", "2"), ["#### 2", "", "hang", "#### 3"]))
    assert [grade.correct for grade in grades] == [True, False, False, False]
    assert [grade.failure for grade in grades] == [None, "errors", "timeouts", None]
    assert grades[0].parts == {"correctness": 1.0, "f": 1 / 6} and grades[3].parts == {"correctness": 0.0, "f": 1 / 6}
    assert grades[1].why == "ZeroDivisionError: division by zero (mine.py, line 6)"


def test_the_hash_stands_in_the_settings_and_none_without_a_function(tmp_path: Path) -> None:
    config = settings(tmp_path, "def f(text): return 1")
    assert config.reward.code is not None and config.reward.sha256 == config.reward.code.sha256
    without = resolve(config, overrides=["reward=none"])
    assert (without.reward.function, without.reward.sha256, without.reward.code) == (None, None, None)


def test_a_file_that_does_not_import_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, "import numpyy")
    assert str(caught.value) == (
        f"reward={tmp_path}/mine.py:f: it does not import: ModuleNotFoundError: No module named 'numpyy' "
        "(mine.py, line 3)"
    )
