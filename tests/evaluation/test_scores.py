"""Scores of hand-made answers, worked by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.evaluation.answers import AnswerRow
from raysgpo.evaluation.scores import all_scores, set_metrics, set_scores

TWO = QuestionSetConfig(name="two", samples=4, temperature=1.0)
ONE = QuestionSetConfig(name="one")


def answers(of: QuestionSetConfig, question: str, said: Sequence[str | None], level: int) -> list[AnswerRow]:
    """The right answer is 1; ``cut`` is an answer that was cut off, None one that never came."""
    return [
        AnswerRow(
            "m",
            of.name,
            question,
            {"level": str(level)},
            sample,
            text,
            tokens=10,
            truncated=text == "cut",
            correct=None if text is None else text == "1",
            answer=None if text == "cut" else text,
            failed="nobody is there" if text is None else None,
        )
        for sample, text in enumerate(said)
    ]


ROWS = [
    *answers(TWO, "a", ["1", "2", "1", "cut"], 1),
    *answers(TWO, "b", ["2", "2", "1", None], 2),
    *answers(TWO, "c", ["1", "1", "1", "1"], 2),
]


def test_worked_by_hand() -> None:
    scores = set_scores(ROWS, TWO, seed=0)
    assert (scores["questions"], scores["samples"], scores["failed"]) == (3, 4, 1)
    assert scores["avg"]["value"] == pytest.approx((0.5 + 0.25 + 1) / 3)
    assert scores["avg"]["low"] < scores["avg"]["value"] < scores["avg"]["high"]
    # Of the pairs among four answers 5 of 6 hold a right one of a, 3 of 6 of b, all of c.
    assert scores["pass_at"] == pytest.approx({"1": 1.75 / 3, "2": (5 / 6 + 0.5 + 1) / 3, "4": 1.0})
    # Pairs in order: a is 1|2 (drawn) and 1 alone, b is 2, 2 and then 1 alone, c is right.
    assert scores["maj"] == pytest.approx({"1": 1.75 / 3, "2": (0.75 + 0.5 + 1) / 3, "4": 2 / 3})
    assert (scores["truncated"], scores["tokens"]) == (pytest.approx(1 / 12), 10)
    assert scores["by_label"] == pytest.approx({"level=1": 0.5, "level=2": 0.625})


def test_the_order_of_the_rows_changes_nothing() -> None:
    mixed = random.Random(0).sample(ROWS, len(ROWS))
    assert set_scores(ROWS, TWO, 0) == set_scores(mixed, TWO, 0)


def test_overall_is_the_unweighted_mean_of_the_sets() -> None:
    rows = [*ROWS, *answers(ONE, "d", ["1"], 3)]
    scores = all_scores(rows, ["m"], [TWO, ONE], 0)
    assert scores["m"]["Overall"] == pytest.approx((1.75 / 3 + 1) / 2)
    assert scores["m"].keys() == {"two", "one", "Overall"}


def test_the_k_of_a_description_and_programs_without_a_majority() -> None:
    some = TWO.model_copy(update={"k": (4, 1)})
    assert set_scores(ROWS, some, 0)["pass_at"].keys() == {"1", "4"}
    assert set_scores(ROWS, TWO.model_copy(update={"grader": "tests"}), 0)["maj"] == {}


def test_the_metrics_of_a_run_are_the_same_numbers() -> None:
    scores = set_scores(ROWS, TWO, 0)
    metrics = set_metrics("two", scores)
    assert metrics["eval/two/avg"] == scores["avg"]["value"] and metrics["eval/two/failed"] == 1
    assert metrics["eval/two/avg/level=1"] == 0.5 and metrics["eval/two/pass_at_4"] == 1.0
    assert metrics["eval/two/maj_at_4"] == scores["maj"]["4"]


def test_an_answer_too_few_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError, match="all its answers"):
        set_scores(ROWS[:-1], TWO, 0)
