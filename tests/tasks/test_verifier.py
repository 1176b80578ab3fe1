"""The verifier task on rows of a file, and its grades."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.rating_grading import BOTH, FIRST, NEITHER, RIGHT, SECOND, WRONG, RatingGrading
from raysgpo.tasks.ratings import COIN_FLIP, REWARD_RANGE
from raysgpo.tasks.verifier import VerifierTask, read_cases


def row(number: int, a: bool = True, b: bool | None = False, **more: Any) -> dict[str, Any]:
    pair = {} if b is None else {"solution_b": f"b{number}", "correct_b": b}
    return {"question": f"q{number}?", "solution_a": f"a{number}", "correct_a": a, **pair, **more}


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return str(path)


def question(problem: Problem) -> str:
    return problem.prompt.partition("# Question\n")[2].partition("\n")[0]


def task(path: str, held_out: int = 0, **more: Any) -> VerifierTask:
    return VerifierTask(TaskConfig(kind="verifier", path=path, **more), held_out)


def problem(answer: str) -> Problem:
    return Problem("p", "", answer, None, {})


def test_a_row_becomes_a_problem_that_shows_both_and_tells_neither(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [row(0, True, False, id="x", year=2020), row(1, False, True)])
    first, second = sorted(task(write(tmp_path / "other.jsonl", [row(9)]), 2, eval_path=path).held_out, key=question)
    assert (first.id, second.id) == ("x", "row-2")
    assert (first.answer, second.answer) == (FIRST, SECOND)
    assert first.metadata == {"year": 2020, "category": "first_correct"}
    assert "# Question\nq0?\n" in first.prompt
    assert "# Response A\na0\n\n# Response B\nb0" in first.prompt
    assert first.prompt.replace("q0", "q1").replace("a0", "a1").replace("b0", "b1") == second.prompt


def test_braces_in_code_are_taken_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{**row(0), "solution_a": "{first} {x: 1}", "question": "{second}"}])
    prompt = task(path, singles=0).train[0].prompt
    assert "\n{first} {x: 1}" in prompt and "# Question\n{second}\n" in prompt


def test_the_indentation_of_code_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{**row(0), "solution_a": "\n    y = 2 * x\n    return y\n"}])
    assert "\n    y = 2 * x\n    return y" in task(path, singles=0).train[0].prompt


def test_half_of_the_training_pairs_are_shown_the_other_way_around(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [row(n) for n in range(400)])
    problems = task(path, singles=0).train
    assert sum(one.answer == SECOND for one in problems) == pytest.approx(200, abs=40)
    for number, one in enumerate(problems):
        places = [one.prompt.index(f"\n{letter}{number}") for letter in "ab"]
        assert (places[0] < places[1]) == (one.answer == FIRST)


def test_pairs_of_one_truth_are_trained_on_as_singles(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [row(n, n % 2 == 0, n % 2 == 0) for n in range(20)])
    problems = task(path, singles=0).train
    assert [one.answer for one in problems] == [RIGHT, WRONG] * 10
    assert {one.metadata["shown"] for one in problems} == {"A", "B"}
    for number, one in enumerate(problems):
        shown, hidden = ("a", "b") if one.metadata["shown"] == "A" else ("b", "a")
        assert one.prompt.endswith(f"# Response\n{shown}{number}")
        assert f"{hidden}{number}" not in one.prompt


def test_the_share_of_singles_is_the_one_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [row(n) for n in range(1000)])
    assert sum(one.answer in (RIGHT, WRONG) for one in task(path, singles=0.2).train) == pytest.approx(200, abs=40)
    assert not any(one.answer in (RIGHT, WRONG) for one in task(path, singles=0.0).train)
    assert all(one.answer in (RIGHT, WRONG) for one in task(path, singles=1.0).train)
    again = task(path, singles=0.2).train
    assert again == task(path, singles=0.2).train


def test_held_out_rows_stay_as_they_are_and_apart_from_training(tmp_path: Path) -> None:
    rows = [row(n % 10, n < 10, n % 3 == 0, domain="math" if n % 2 else None) for n in range(20)]
    found = task(write(tmp_path / "t.jsonl", rows), held_out=4, singles=1.0)
    shown = {question(one) for one in found.held_out}
    assert len(found.held_out) == 4 and len(shown) == 2  # each question has two rows
    assert len(found.train) == 16
    assert not shown & {question(one) for one in found.train}
    truths = {FIRST: "first", SECOND: "second", BOTH: "both", NEITHER: "both_incorrect"}
    for one in found.held_out:
        assert one.metadata["category"].removeprefix("math/").startswith(truths[one.answer])
        assert one.metadata["category"].startswith("math/") == (int(question(one)[1]) % 2 == 1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"question": "q?", "solution_a": "a"}, "row 2: correct_a: field required"),
        ({"question": "q?", "solution_a": "a", "correct_a": 1}, "row 2: correct_a: input should be a valid boolean"),
        ({"question": "q?", "correct_a": True}, "row 2: solution_a: field required"),
        ({"question": "", "solution_a": "a", "correct_a": True}, "row 2: question: string should have at least 1"),
        ({**row(1), "correct_b": None}, "row 2: no correct_b"),
        ({**row(1), "solution_b": None}, "row 2: no solution_b"),
        ({**row(1), "id": "x"}, "row 2: the id 'x' was used"),
    ],
)
def test_a_bad_row_is_named_with_file_and_number(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "bad.jsonl", [row(0, id="x"), bad])
    with pytest.raises(ValueError, match=f"task.path={path}, {message}"):
        read_cases(TaskConfig(kind="verifier", path=path))


def test_a_file_that_is_all_held_out_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all of its 2 rows are held out"):
        task(write(tmp_path / "t.jsonl", [row(0), row(1)]), held_out=2)


@pytest.mark.parametrize(
    ("truth", "text", "correct", "reward"),
    [
        (FIRST, "Rating A: 8\nRating B: 3", True, math.log(0.75)),
        (SECOND, "Rating A: 8\nRating B: 3", False, math.log(0.25)),
        (SECOND, "Rating A: 5\nRating B: 5", False, COIN_FLIP),
        (BOTH, "Rating A: 8\nRating B: 6", True, (math.log(0.8) + math.log(0.6)) / 2),
        (BOTH, "Rating A: 8\nRating B: 5", False, (math.log(0.8) + math.log(0.5)) / 2),
        (NEITHER, "Rating A: 4\nRating B: 2", True, (math.log(0.6) + math.log(0.8)) / 2),
        (NEITHER, "Rating A: 4\nRating B: 6", False, (math.log(0.6) + math.log(0.4)) / 2),
        (RIGHT, "Rating: 9", True, math.log(0.9)),
        (WRONG, "Rating: 9", False, math.log(0.1)),
        (WRONG, "Rating: 5", False, COIN_FLIP),
        (FIRST, "A is right.", False, REWARD_RANGE[0]),
        (RIGHT, "", False, REWARD_RANGE[0]),
    ],
)
def test_grades_by_hand(truth: str, text: str, correct: bool, reward: float) -> None:
    grade = RatingGrading()(problem(truth), text)
    assert grade.correct is correct
    assert grade.parts == {"correctness": pytest.approx(reward)}


def test_the_ratings_are_kept_and_the_format_part_stands_apart() -> None:
    grade = RatingGrading(0.1)(problem(FIRST), "Rating A: 8\nRating B: 3")
    assert grade.readings == {"rating_a": 8.0, "rating_b": 3.0}
    assert grade.parts == {"correctness": pytest.approx(math.log(0.75)), "format": 0.1}
    apart = RatingGrading(by_difference=False)(problem(FIRST), "Rating A: 8\nRating B: 3")
    assert apart.parts["correctness"] == pytest.approx((math.log(0.8) + math.log(0.7)) / 2)
    both_high = RatingGrading(by_difference=False)(problem(FIRST), "Rating A: 9\nRating B: 8")
    assert both_high.correct and both_high.parts["correctness"] == pytest.approx((math.log(0.9) + math.log(0.2)) / 2)
    unread = RatingGrading(0.1)(problem(FIRST), "?")
    assert unread.readings == {}
    assert unread.parts == {"correctness": REWARD_RANGE[0], "format": 0.0}
