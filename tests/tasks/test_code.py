"""The code task: rows of three data sets, what a program is worth, and what is said of rows that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import Config, TaskConfig
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.sandbox import SandboxConfig
from raysgpo.data.report import reading
from raysgpo.judging.prompt import judge_messages
from raysgpo.records import Problem
from raysgpo.sandbox import SandboxRefused
from raysgpo.start.preparation import prepare
from raysgpo.tasks import code
from raysgpo.tasks.code import CodeTask
from raysgpo.tasks.code_grading import THRESHOLD, CodeGrading
from raysgpo.tasks.grader import DeadlineGrader, make_grader
from raysgpo.tasks.kinds import build_task

HUMAN_EVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n\n\ndef twice(x: List[int]) -> List[int]:\n    """Each twice."""\n',
    "entry_point": "twice",
    "canonical_solution": "    return [2 * one for one in x]\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n"
    "    assert candidate([1]) == [2]\n    assert candidate([]) == []\n"
    "    assert candidate([2, 3]) == [4, 6]\n    assert True\n",
}
MBPP = {
    "task_id": 2,
    "text": "Write a function to double a number.",
    "code": "def double(x):\n  return math.floor(2 * x)",
    "test_list": ["assert double(2) == 4", "assert double(3) == 6"],
    "test_setup_code": "import math",
}
LIVE = {
    "question_id": "abc_a",
    "question_content": "Print the sum.",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": json.dumps([{"input": "5 5\n", "output": "10", "testtype": "stdin"}]),
    "difficulty": "easy",
}
ROWS = [HUMAN_EVAL, MBPP, LIVE]
SANDBOX = SandboxConfig(deadline=5.0)
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(*rows: dict[str, Any]) -> str:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return written


def task_of(path: str, **settings: Any) -> CodeTask:
    return CodeTask(TaskConfig(kind="code", path=path, **settings), 0)


def test_rows_of_three_data_sets_are_read_as_they_are(write: Write) -> None:
    first, second, third = task_of(write(*ROWS)).train
    assert [one.id for one in (first, second, third)] == ["HumanEval/0", "2", "abc_a"]
    assert first.prompt == f"{HUMAN_EVAL['prompt'].strip()}\nPut the whole program in one ```python fence."
    assert first.reference == f"```python\n{HUMAN_EVAL['prompt']}    return [2 * one for one in x]\n```"
    assert "The function is called double; it passes, for example,\nassert double(2) == 4\nPut the" in second.prompt
    assert second.reference == "```python\ndef double(x):\n  return math.floor(2 * x)\n```"
    assert "reads standard input" in third.prompt and third.reference is None
    assert third.metadata == {"difficulty": "easy", "tests": "input:\n1 2\noutput:\n3\n\ninput:\n5 5\noutput:\n10\n"}


def answered(text: str) -> str:
    return f"I think.\n\n```python\n{text}\n```\n"


WRONG_ON_LISTS = "def twice(x): return [2] if x else []"


def test_what_a_program_is_worth(write: Write) -> None:
    task = task_of(write(*ROWS), sandbox=SANDBOX)
    first, second, third = task.train
    share = CodeGrading(SANDBOX, "share", format_reward=0.1)
    for problem, text, passed, count in (
        (first, first.reference or "", 3, 3),
        (first, answered(WRONG_ON_LISTS), 2, 3),
        (first, HUMAN_EVAL["canonical_solution"], 3, 3),
        (first, answered("def twice(x): raise SystemExit(0)"), 0, 3),
        (second, answered("def double(x): return 4"), 1, 2),
        (third, answered("print(sum(map(int, input().split())))"), 2, 2),
        (third, answered("print(3)"), 1, 2),
        (third, answered("print('3.0\\n')"), 1, 2),
    ):
        right, fenced = passed == count, "```" in text
        grade = task.grade(problem, text)
        assert (grade.correct, grade.parts) == (right, {"correctness": float(right)}), text
        ordinal = share(problem, text)
        worth = 1.0 if right else THRESHOLD * passed / count
        assert ordinal.parts == {"correctness": worth, "format": 0.1 * fenced}
        assert ordinal.readings == {"tests_passed": passed / count, "timed_out": 0.0}
        assert right or worth < THRESHOLD, "what is wrong stays below the threshold of CoRPO"
    assert task.grade(first, "I do not know.").readings == {}
    assert task.grade(first, answered("x = 1")).parts == {"correctness": 0.0}


@pytest.mark.slow
def test_a_program_that_hangs_is_wrong_and_counted_and_its_further_inputs_are_not_tried(write: Write) -> None:
    grading = CodeGrading(SandboxConfig(deadline=0.3), "share")
    first, _, third = task_of(write(*ROWS)).train
    hangs = "n = 0\ndef twice(x):\n    global n\n    n += 1\n    while n > 1: pass\n    return [2]"
    grade = grading(first, answered(hangs))
    assert grade.readings == {"tests_passed": pytest.approx(1 / 3), "timed_out": 1.0} and grade.failure is None
    assert grading(third, answered("while True: pass")).readings == {"tests_passed": 0.0, "timed_out": 1.0}


@pytest.mark.slow
def test_it_is_graded_in_children_and_as_many_at_once_as_there_are_cores(write: Write) -> None:
    import asyncio

    config = TaskConfig(kind="code", path=write(*ROWS))
    task = CodeTask(config, 0)
    grader = make_grader(task, Config(task=config))
    assert isinstance(grader, DeadlineGrader)
    problem = task.train[0]

    async def grades() -> list[bool]:
        texts = [problem.reference or "", answered(WRONG_ON_LISTS)] * 3
        return [one.correct for one in await asyncio.gather(*(grader.grade(problem, text) for text in texts))]

    assert asyncio.run(grades()) == [True, False] * 3
    grader.close()


def test_rows_that_cannot_be_used_are_left_out_and_named(write: Write) -> None:
    failing = {**MBPP, "task_id": 3, "code": "def double(x): return 4"}
    nameless = {**MBPP, "task_id": 4, "code": "def triple(x): return 3 * x"}
    broken = {**MBPP, "task_id": 5, "test_list": ["assert double(2 == 4"]}
    path = write(MBPP, failing, nameless, broken)
    assert [one.id for one in task_of(path).train] == ["2"]
    with reading() as report:
        task_of(path)
    assert [(one.where.rpartition(", ")[2], one.why) for one in report.left_out] == [
        ("row 4", "its tests cannot be run"),
        ("row 2", "its solution fails its own tests: mend it, or the tests"),
        ("row 3", "its solution fails its own tests: mend it, or the tests"),
    ]
    assert report.left_out[0].said == "tests do not parse: '(' was never closed (<unknown>, line 1)"
    assert [one.id for one in task_of(path, check_solutions=0).train] == ["2", "3", "4"]
    with pytest.raises(ValueError, match=r"no row can be used; .*, row 1: its solution fails its own tests"):
        task_of(write(failing))


def test_solutions_beyond_the_first_are_not_run_and_that_is_said(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = {**MBPP, "task_id": 3, "code": "def double(x): return 4"}
    assert len(task_of(write(MBPP, failing), check_solutions=1).train) == 2
    assert "the solutions of 1 of 2 rows were run (task.check_solutions)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tests": "assert f(1)"}, "row 1: no question: add the field 'question' (also called prompt,"),
        ({"question": "?"}, "row 1: no tests: add the field 'tests' (also called test, test_list,"),
        ({"question": True, "tests": "assert f(1)"}, "row 1: question is bool where text was expected"),
        ({"question": "?", "tests": "assert f(1)", "entry_point": 1}, "entry_point is int where text"),
        ({"question": "?", "tests": "assert True"}, "row 1: tests assert nothing"),
    ],
)
def test_bad_rows_are_one_line(write: Write, row: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as raised:
        task_of(write(row))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def settings(path: str, *words: str) -> Config:
    return resolve({}, overrides=["task.kind=code", f"task.path={path}", "evaluation.prompts=1", *words])


def test_the_settings_know_the_task(write: Write) -> None:
    path = write(*ROWS)
    assert len(build_task(settings(path)).train) == 2
    assert settings(path, "algorithm=corpo", "task.test_reward=share").task.row.threshold == THRESHOLD
    assert settings(path, "task.sandbox.deadline=3").task.sandbox.deadline == 3
    for words, said in (
        (["task.path=null"], "needs task.path, rows of question, tests, entry_point and solution"),
        (["algorithm=sgpo", "judge=rule"], "not of code"),
        (["task.code_steps=words"], "code_steps"),
    ):
        with pytest.raises(ConfigError, match=said):
            settings(path, *words)


def test_without_a_sandbox_nothing_starts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> None:
        raise SandboxRefused("programs cannot be shut in here: no; sysctl x=1")

    monkeypatch.setattr(code, "check_sandbox", refuses)
    with pytest.raises(ConfigError, match="programs cannot be shut in here: no; sysctl x=1"):
        prepare(settings(write(*ROWS)), print)


def test_a_judge_is_shown_the_program_and_the_tests(write: Write) -> None:
    first, _, third = task_of(write(*ROWS)).train
    asked = judge_messages(first, ["def twice(x):\n", "    return x\n"])[1]["content"]
    assert first.reference is not None and first.reference in asked and "assert candidate([1]) == [2]" in asked
    assert "A right program passes these tests." in asked and '"statements"' not in asked
    alone = judge_messages(third, ["print(3)"])[1]["content"]
    assert "input:\n1 2\noutput:\n3" in alone and '"pairs"' not in alone
    answer_only = judge_messages(first, ["x"], reference="answer")[1]["content"]
    assert first.reference not in answer_only and "assert candidate([1]) == [2]" in answer_only


def test_guidance_is_cut_from_a_program_before_its_last_step(write: Write) -> None:
    task = task_of(write(HUMAN_EVAL), code_steps="lines")
    (problem,) = task.train
    assert task.split(problem.reference or "")[-1] == "    return [2 * one for one in x]\n```"


def test_a_problem_is_a_problem_whatever_its_metadata() -> None:
    plain = Problem("a", "1+1?", "2", "1+1=2", {"tests": 3})
    assert "tests" not in judge_messages(plain, ["x"])[1]["content"]
