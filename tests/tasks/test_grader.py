"""Graders: the deadline is hard, failures are values, the next answer is graded as if nothing was."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest

from raysgpo.config import Config, TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tasks.grader import DeadlineGrader, Grader, InlineGrader, make_grader
from raysgpo.tasks.math_grading import MathGrading
from raysgpo.tasks.scrubbed import scrubbed
from raysgpo.tasks.task import Grade
from raysgpo.tasks.worth import GradeFn

pytestmark = pytest.mark.slow

PROBLEM = Problem(id="p", prompt="2+3=?", answer="5")

# Its own file, because the child process imports it by name.
VERIFIER = """
import os, sys, time
from raysgpo.tasks.task import Grade

def grade(problem, text):
    if text == "hang":
        9 ** 9 ** 9 ** 9
    if text == "sleep":
        time.sleep(3600)
    if text == "raise":
        raise ZeroDivisionError("on purpose")
    if text == "die":
        os._exit(3)
    if text == "memory":
        bytearray(1 << 40)
    if text == "deep":
        (lambda f: f(f))(lambda f: f(f))
    if text == "print":
        print("noise")
    if text == "imports":
        return Grade(not {"ray", "torch", "vllm", "transformers"} & set(sys.modules), {})
    if text == "environment":
        return Grade(not {name for name in os.environ if "KEY" in name or "TOKEN" in name}, {})
    if text == "none":
        return None
    if text.startswith("pid"):
        return Grade(True, {"pid": float(os.getpid())})
    return Grade(text == problem.answer, {"correctness": float(text == problem.answer)})
"""


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GradeFn]:
    folder: Path = tmp_path_factory.mktemp("verifier")
    (folder / "scripted_verifier.py").write_text(VERIFIER)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("scripted_verifier").grade
    sys.path.remove(str(folder))


@pytest.fixture
def grader(verifier: GradeFn) -> Iterator[DeadlineGrader]:
    grader = DeadlineGrader(verifier, deadline=1.0, patience=3.0)
    yield grader
    grader.close()


def graded(grader: Grader, *texts: str) -> list[Grade]:
    async def grade_all() -> list[Grade]:
        return await asyncio.gather(*(grader.grade(PROBLEM, text) for text in texts))

    return asyncio.run(grade_all())


def careless(problem: Problem, text: str) -> Any:
    """A verifier that gives numpy's types, readings that are none, or no Grade at all."""
    if text == "none":
        return None
    readings = {"rating": np.float32(2), "lost": np.nan, "unread": float("inf")}
    return Grade(np.bool_(True), {"correctness": 1.0}, readings if text == "read" else None)  # type: ignore[arg-type]


def test_a_grade_has_pythons_own_types_whatever_the_verifier_gave() -> None:
    first, second, none = graded(InlineGrader(careless), "read", "unread", "none")
    assert first.correct is True and first.readings == {"rating": 2.0} and second.readings is None
    json.dumps([first.correct, first.readings])
    assert none.failure == "errors"


def pid(grader: Grader) -> int:
    return int(graded(grader, "pid")[0].parts["pid"])


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended but was not reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_right_and_wrong_answers_come_back_in_order(grader: DeadlineGrader) -> None:
    assert [grade.correct for grade in graded(grader, "5", "6", "print", "5")] == [True, False, False, True]


def test_one_child_serves_many_answers_and_several_event_loops(grader: DeadlineGrader) -> None:
    assert pid(grader) == pid(grader) != os.getpid()


def test_the_child_imports_no_ray_and_no_torch(grader: DeadlineGrader) -> None:
    assert graded(grader, "imports")[0].correct


def test_the_child_has_no_keys_and_the_rest_of_what_it_needs(
    verifier: GradeFn, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("OPENAI_API_KEY", "RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_OWN_TOKEN", "RAYSGPO_SERVE_KEY")
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    grader = DeadlineGrader(verifier, deadline=1.0, patience=3.0)
    try:
        assert graded(grader, "environment")[0].correct
    finally:
        grader.close()
    assert "secret" not in scrubbed().values() and scrubbed()["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("text", ["hang", "sleep"])
def test_past_the_deadline_the_child_is_killed_and_replaced(grader: DeadlineGrader, text: str) -> None:
    before = pid(grader)
    start = time.monotonic()
    (grade,) = graded(grader, text)
    assert (0.9 if text == "hang" else 3.0) <= time.monotonic() - start < 20.0
    assert (grade.correct, grade.parts, grade.failure) == (False, {"correctness": 0.0}, "timeouts")
    assert not alive(before)
    assert graded(grader, "5")[0].correct and pid(grader) != before


def test_a_busy_machine_costs_a_right_answer_nothing(verifier: GradeFn) -> None:
    """The child is stopped for longer than its deadline, as one that gets no turn."""
    grader = DeadlineGrader(verifier, deadline=0.3, patience=100.0)
    child = pid(grader)
    os.kill(child, signal.SIGSTOP)
    Timer(1.0, os.kill, [child, signal.SIGCONT]).start()
    assert graded(grader, "5")[0].correct and pid(grader) == child
    grader.close()


@pytest.mark.parametrize("text", ["raise", "memory", "deep", "none"])
def test_an_exception_is_a_wrong_answer_and_the_child_lives_on(grader: DeadlineGrader, text: str) -> None:
    before = pid(grader)
    (grade,) = graded(grader, text)
    assert (grade.correct, grade.parts, grade.failure) == (False, {"correctness": 0.0}, "errors")
    assert pid(grader) == before


def test_a_child_that_dies_is_replaced(grader: DeadlineGrader) -> None:
    grades = graded(grader, "5", "die", "5")
    assert [grade.correct for grade in grades] == [True, False, True]
    assert [grade.failure for grade in grades] == [None, "errors", None]


def test_waiting_for_a_free_child_costs_none_of_the_deadline(verifier: GradeFn) -> None:
    grader = DeadlineGrader(verifier, deadline=1.0, workers=2, patience=1.0)
    grades = graded(grader, "sleep", "sleep", "sleep", "5")
    grader.close()
    assert [grade.failure for grade in grades] == ["timeouts"] * 3 + [None]


def test_closing_ends_the_children(verifier: GradeFn) -> None:
    grader = DeadlineGrader(verifier, deadline=1.0)
    child = pid(grader)
    assert alive(child)
    grader.close()
    assert not alive(child)


PARENT = """
import asyncio, sys
from raysgpo.records import Problem
from raysgpo.tasks.grader import DeadlineGrader
from scripted_verifier import grade
grader, problem = DeadlineGrader(grade, deadline=1.0), Problem(id="p", prompt="", answer="")
async def main():
    print(int((await grader.grade(problem, "pid")).parts["pid"]), flush=True)
    while True:
        await grader.grade(problem, sys.argv[1])
asyncio.run(main())
"""


@pytest.mark.parametrize("text", ["hang", "pid"])
def test_a_child_whose_parent_is_killed_ends_by_itself(verifier: GradeFn, text: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.3)
        parent.kill()
    until = time.monotonic() + 20
    while alive(child) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(child)


def test_a_verifier_that_the_child_cannot_load_is_an_error_and_not_a_wrong_answer(tmp_path: Path) -> None:
    (tmp_path / "vanishing_verifier.py").write_text("def grade(problem, text): ...\n")
    sys.path.insert(0, str(tmp_path))
    grader = DeadlineGrader(importlib.import_module("vanishing_verifier").grade, deadline=1.0)
    sys.path.remove(str(tmp_path))
    with pytest.raises(RuntimeError, match="did not start"):
        graded(grader, "5")
    grader.close()


def test_what_no_machine_evaluates_ends_at_the_deadline() -> None:
    grader = DeadlineGrader(MathGrading(), deadline=2.0)
    answers = ["5", "9^{9^{9^{9}}}", "(9^9)^{9^{9}}!", "2+3"]
    grades = graded(grader, *(rf"\boxed{{{answer}}}" for answer in answers))
    grader.close()
    assert [grade.correct for grade in grades] == [True, False, False, True]
    assert [grade.failure for grade in grades] == [None, None, "timeouts", None], "a tower is not evaluated at all"


def test_the_inline_grader_turns_an_exception_into_a_wrong_answer() -> None:
    def raises(problem: Problem, text: str) -> Grade:
        raise RecursionError

    (grade,) = graded(InlineGrader(raises), "5")
    assert (grade.correct, grade.failure) == (False, "errors")


def test_each_kind_of_task_gets_its_grader() -> None:
    arithmetic = TaskConfig(prompts=2)
    task = ArithmeticTask(arithmetic, 1)
    assert isinstance(make_grader(task, Config(task=arithmetic)), InlineGrader)
    assert [grade.correct for grade in graded(make_grader(task, Config(task=arithmetic)), "#### 5", "5")] == [
        True,
        False,
    ]

    class Rows:
        train = held_out = (PROBLEM,)
        reward_range = (0.0, 1.0)
        grade = MathGrading()

        def split(self, text: str) -> list[str]:
            return [text]

    math = make_grader(Rows(), Config(task=TaskConfig(kind="math", path="rows.jsonl")))
    assert isinstance(math, DeadlineGrader)
    math.close()
