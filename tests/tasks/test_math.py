"""The math task: rows and their errors, the split, grading, and the form of an answer."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import TaskConfig
from raysgpo.data.report import reading
from raysgpo.records import Problem
from raysgpo.tasks.gold_answer import unreadable
from raysgpo.tasks.math import INSTRUCTION, MathTask, read_problems
from raysgpo.tasks.math_grading import MathGrading, is_correct, is_well_formed

ROWS = [{"question": f"What is {i} plus {i}?", "answer": str(2 * i), "solution": f"{2 * i}"} for i in range(40)]


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def config(path: str, **more: Any) -> TaskConfig:
    return TaskConfig(kind="math", path=path, **more)


def test_a_row_becomes_a_problem(tmp_path: Path) -> None:
    row = {"id": "a-1", "question": " 2+3? ", "answer": 5, "solution": "2+3=5", "year": 1983, "level": "é"}
    plain = {"question": "2+4?", "answer": "6"}
    first, second = read_problems(config(write(tmp_path / "t.jsonl", [row, plain])))
    assert first == Problem("a-1", "2+3?" + INSTRUCTION, "5", "2+3=5", {"year": 1983, "level": "é"})
    assert second == Problem("row-2", "2+4?" + INSTRUCTION, "6", None, {})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "2+3?"}', "row 3: no answer"),
        ('{"question": "2+3?", "answer": null}', "row 3: no answer"),
        ('{"question": "2+3?", "answer": "  "}', "row 3: answer is empty"),
        ('{"question": "2+3?", "answer": ["5"]}', "row 3: answer is list"),
        ('{"question": "2+3?", "answer": true}', "row 3: answer is bool"),
        ('{"answer": "5"}', "row 3: no question"),
        ('{"question": "", "answer": "5"}', "row 3: question is empty"),
        ('{"question": "2+3?", "answer": "5", "solution": {}}', "row 3: solution is dict"),
        ('{"question": ', "row 3: not JSON"),
        ('["2+3?", "5"]', "row 3: list where an object"),
        ('{"id": "x", "question": "2+3?", "answer": "5"}', "row 3: the id 'x' was used"),
    ],
)
def test_a_bad_row_is_named_with_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "x", "question": "1+1?", "answer": "2"}\n\n' + line + "\n")
    with pytest.raises(ValueError, match=f"task.path={path}, {message}"):
        MathTask(config(str(path)), held_out=0)


def test_bytes_that_are_no_text_are_named_too(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"question": "\xff\xfe", "answer": "5"}\n')
    with pytest.raises(ValueError, match="row 1: not JSON"):
        read_problems(config(str(path)))


def test_a_missing_file_suggests_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "train_gsm8k.jsonl", ROWS)
    with pytest.raises(ValueError, match=r"no such file \(in its folder: train_gsm8k.jsonl\)"):
        read_problems(config(str(tmp_path / "train_gsm8.jsonl")))
    with pytest.raises(ValueError, match="nor the folder"):
        read_problems(config(str(tmp_path / "nowhere" / "a.jsonl")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"it is a folder without a data set: .*doesn't contain any data files"):
        read_problems(config(str(tmp_path / "empty")))


def test_an_empty_file_and_one_that_is_all_held_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no rows"):
        MathTask(config(write(tmp_path / "empty.jsonl", [])), held_out=0)
    with pytest.raises(ValueError, match=r"lower evaluation\.prompts"):
        MathTask(config(write(tmp_path / "few.jsonl", ROWS[:3])), held_out=3)


def test_the_split_is_complete_disjoint_and_does_not_depend_on_the_order(tmp_path: Path) -> None:
    task = MathTask(config(write(tmp_path / "a.jsonl", ROWS)), held_out=10)
    held = {problem.prompt for problem in task.held_out}
    train = {problem.prompt for problem in task.train}
    assert (len(held), len(train), held & train) == (10, 30, set())
    assert len({problem.id for problem in [*task.train, *task.held_out]}) == 40
    turned = MathTask(config(write(tmp_path / "b.jsonl", ROWS[::-1])), held_out=10)
    assert {problem.prompt for problem in turned.held_out} == held
    smaller = MathTask(config(write(tmp_path / "a.jsonl", ROWS)), held_out=5)
    assert {problem.prompt for problem in smaller.held_out} < held


def test_no_question_is_both_trained_on_and_held_out_in_whatever_spelling(tmp_path: Path) -> None:
    twins = [*ROWS, *({**row, "question": row["question"].upper().replace(" ", "  ")} for row in ROWS)]
    task = MathTask(config(write(tmp_path / "twins.jsonl", twins)), held_out=10)
    assert (len(task.held_out), len(task.train)) == (10, 60)
    other = write(tmp_path / "eval.jsonl", ROWS[:4])
    task = MathTask(config(write(tmp_path / "twins.jsonl", twins), eval_path=other), held_out=3)
    assert (len(task.held_out), len(task.train)) == (3, 74)


def test_grading_with_and_without_the_format_part(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"question": "1/4+1/4?", "answer": "\\frac{1}{2}"}])
    (problem,) = MathTask(config(path), held_out=0).train
    plain = MathTask(config(path), held_out=0).grade(problem, "The answer is 0.5")
    assert (plain.correct, plain.parts) == (True, {"correctness": 1.0})
    grade = MathTask(config(path, format_reward=0.1), held_out=0).grade
    assert grade(problem, "The answer is 0.5").parts == {"correctness": 1.0, "format": 0.0}
    assert grade(problem, "It is \\boxed{0.5}.").parts == {"correctness": 1.0, "format": 0.1}
    assert grade(problem, "It is \\boxed{0.6}.").parts == {"correctness": 0.0, "format": 0.1}


def test_the_verifier_pickles_small() -> None:
    assert pickle.loads(pickle.dumps(MathGrading(0.1))) == MathGrading(0.1)
    assert len(pickle.dumps(MathGrading(0.1))) < 200


def test_steps_lose_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", ROWS)
    assert MathTask(config(path), held_out=0).split("a\nb\nc") == ["a\n", "b\n", "c"]
    merged = MathTask(config(path, max_reasoning_steps=2), held_out=0).split("a\nb\nc")
    assert len(merged) == 2 and "".join(merged) == "a\nb\nc"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("72", "48+24=72. The answer is 72 clips."),
        ("72", "#### 72"),
        ("5", "<think>\\boxed{4}</think>So \\boxed{5}"),
        ("9", "First \\boxed{8}? No, wrong. Hence \\boxed{9}."),
        ("9", "\\boxed{8}\n\n\\boxed{9}"),
        ("8,9", "\\boxed{8} and \\boxed{9}"),
        ("0.5", "\\boxed{\\frac12}"),
        ("2\\sqrt{3}", "\\boxed{\\sqrt{12}}"),
        ("1234567", "\\boxed{1,234,567}"),
        ("033", "\\boxed{33}"),
        ("60", "\\boxed{60 \\text{ dollars}}"),
        ("x^2-1", "The answer is $(x-1)(x+1)$"),
        ("(3,4)", "\\boxed{(3, 4)}"),
        ("1,2,3", "\\boxed{3, 2, 1}"),
        ("3e-4", "\\boxed{3\\times 10^{-4}}"),
        ("\\text{yes}", "\\boxed{yes}"),
        ("$10$", "\\boxed{x = 10}"),
        ("3", "The largest $n$ is 5.\n\nFinal answer: Jane started 3 hours ago. I hope it is correct."),
        ("D", "The answer is for sure D, it can't be A or B"),
        ("(D) Alina", "D"),
        ("-2, 1", "\\boxed{-2} and \\boxed{1}"),
        ("1.6e-19", "\\boxed{1.6\\times 10^{-19}}"),
        ("x \\in [-2,7]", "\\boxed{-2 \\le x \\le 7}"),
        ("5", "<think> 1 </think> I thought. <think> 2 </think> \\boxed{5}"),
        ("\\$3.47", "\\boxed{\\$3.47}"),
        ("\\$347", "It costs \\boxed{347}"),
    ],
)
def test_right_answers_in_many_spellings(answer: str, text: str) -> None:
    assert is_correct(answer, text)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("5", ""),
        ("5", "I do not know."),
        ("5", "\\boxed{}"),
        ("5", "\\boxed{6}"),
        ("5", "\\boxed{5, 6}"),
        ("5", "\\boxed{4} \\boxed{5} \\boxed{6}"),
        ("4", "\\boxed{4}, or rather \\boxed{5}"),
        ("5", "5 is not it, so \\boxed{6}"),
        ("5", "<think>\\boxed{5}</think>So \\boxed{4}"),
        ("5", "\\boxed{-5}"),
        ("5", "\\boxed{55}"),
        ("(3,4)", "\\boxed{(4,3)}"),
        ("[0,1)", "\\boxed{(0,1)}"),
        ("x=3 \\text{ or } x=5", "\\boxed{x=3}"),
        ("3.2e-11", "\\boxed{6.7e-11}"),
        ("100", "\\boxed{1}"),
    ],
)
def test_wrong_answers(answer: str, text: str) -> None:
    assert not is_correct(answer, text)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("10", "x = 10"),
        ("5", "\\boxed{5} and, going on, \\boxed{"),
        ("5", "\\boxed{5} or \\boxed{ }"),
        ("5", "The answer is not 5."),
        ("5", "The answer is between 4 and 5."),
        ("5", "\\boxed{5"),
        ("5", "<think>The answer is 5."),
        ("3.2e-11", "\\boxed{3.1e-11}"),
        ("1/3", "\\boxed{0.33}"),
        ("12", "Jane has 12 apples."),
    ],
)
def test_what_is_not_stated_is_no_answer(answer: str, text: str) -> None:
    assert not is_correct(answer, text)


def test_the_whole_response_is_searched_in_linear_time() -> None:
    begun = time.process_time()
    assert is_correct("5", "\\boxed{5}" + " so" * 300_000)
    assert not is_correct("5", "The answer is 5." + " \\boxed{" * 100_000)
    assert not is_correct("5", "<think>" * 100_000 + "\\boxed{5}")
    assert not is_correct("5", "The answer is " * 50_000)
    assert time.process_time() - begun < 20, "squared it would be hours"


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(__file__).parent / "cases" / name).open(encoding="utf-8")]


@pytest.mark.parametrize("case", cases("grading.jsonl"), ids=lambda case: case["id"])
def test_cases_of_real_kinds(case: dict[str, Any]) -> None:
    if case["expected"] is None:
        assert unreadable(case["gold"]), case["kind"]
    else:
        assert is_correct(case["gold"], case["text"]) == case["expected"], case["kind"]


def test_a_row_whose_answer_is_several_values_is_left_out_and_told(tmp_path: Path) -> None:
    good = {"question": "How many?", "answer": "The minimum is $2$."}
    bad = {"question": "How many then?", "answer": "The minimum is $2$ at $x=1$"}
    path = write(tmp_path / "t.jsonl", [good, bad, {**bad, "answer": "\\boxed{}"}])
    with reading() as report:
        task = MathTask(config(path), held_out=0)
    assert [problem.id for problem in task.train] == ["row-1"]
    why = "its answer is no single value: write the final answer alone"
    assert [(row.where, row.id, row.why) for row in report.left_out] == [
        (f"task.path={path}, row {n}", f"row-{n}", why) for n in (2, 3)
    ]
    report.divided(["row-1"], [])
    assert report.line() == (
        "data: 3 rows of t.jsonl; 1 to train on, 0 held out; left out: "
        f"2 ({why}: rows 2, 3, such as 'The minimum is $2$ at $x=1$')"
    )


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{5}",
        "So $\\boxed{\\frac{1}{2}}$.",
        "\\[\n\\boxed{5}\n\\]\n",
        "**\\boxed{5}**",
        "<think>\\boxed{1} \\boxed{2}</think>\\boxed{3}",
        "\\boxed{\\{1, 2\\}}",
        "\\begin{align*}x&=\\boxed{5}\\end{align*}",
    ],
)
def test_well_formed(text: str) -> None:
    assert is_well_formed(text)


@pytest.mark.parametrize(
    "text",
    ["", "5", "\\boxed{5", "\\boxed{ }", "\\boxed{5} \\boxed{5}", "\\boxed{5} is the answer", "\\boxed{5\\}"],
)
def test_badly_formed(text: str) -> None:
    assert not is_well_formed(text)


@pytest.mark.timeout(20)
def test_what_is_too_large_to_be_worked_out_equals_what_is_written_alike() -> None:
    for gold in (
        "10^{123456}",
        "(x+1)^{99999}",
        "123456!",
        "9!!!",
        "3e123456",
        "2^{-12345}",
        r"\sin(" * 40 + "1" + ")" * 40,
    ):
        assert is_correct(gold, rf"\boxed{{{gold}}}") and is_correct(gold, rf"\boxed{{ {gold} }}"), gold
        assert not is_correct("7", rf"\boxed{{{gold}}}") and not is_correct(gold, r"\boxed{7}"), gold
    assert is_correct("2^{2024}", r"\boxed{4^{1012}}")
