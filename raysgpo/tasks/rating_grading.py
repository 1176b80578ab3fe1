"""Are the ratings of a judgement right, and what are they worth?"""

from __future__ import annotations

from dataclasses import dataclass

from raysgpo.records import CORRECTNESS, Problem
from raysgpo.tasks.ratings import (
    MIDDLE,
    REWARD_RANGE,
    pair_ratings,
    pair_reward,
    single_rating,
    single_reward,
)
from raysgpo.tasks.task import Grade

FIRST, SECOND, BOTH, NEITHER = "A", "B", "A and B", "none"
"""``Problem.answer`` of a pair: which of the two responses is right."""
RIGHT, WRONG = "right", "wrong"
"""``Problem.answer`` where a single response is shown."""


@dataclass(frozen=True, slots=True)
class RatingGrading:
    """Grades a judgement against ``problem.answer``; its time is bounded, since it reads the end of a text.

    A judgement of a pair with one right response is correct if it prefers that one; any other is
    correct if each of its ratings lies on the right side of 5. Ratings that cannot be read earn the
    least reward. ``readings`` are the ratings.
    """

    format_reward: float = 0.0
    """Reward part ``format``, given where the ratings could be read; 0 leaves the part out."""
    by_difference: bool = True
    """Of a pair with one right response: the worth of the ratings' difference, else the mean of each rating's own."""

    def __call__(self, problem: Problem, text: str) -> Grade:
        pair = problem.answer not in (RIGHT, WRONG)
        grade = (
            _pair(problem.answer, pair_ratings(text), self.by_difference)
            if pair
            else _single(problem.answer, single_rating(text))
        )
        if self.format_reward > 0:
            grade.parts["format"] = self.format_reward if grade.readings else 0.0
        return grade


def _pair(truth: str, ratings: tuple[float, float] | None, by_difference: bool) -> Grade:
    if ratings is None:
        return _unreadable()
    first, second = ratings
    apart = (single_reward(first, truth in (FIRST, BOTH)) + single_reward(second, truth in (SECOND, BOTH))) / 2
    if truth in (BOTH, NEITHER):
        right, reward = truth == BOTH, apart
        correct = all((rating > MIDDLE) if right else (rating < MIDDLE) for rating in ratings)
    else:
        assert truth in (FIRST, SECOND), f"a pair's answer is {FIRST}, {SECOND}, {BOTH} or {NEITHER}, not {truth!r}"
        reward = pair_reward(first, second, truth == SECOND) if by_difference else apart
        correct = second > first if truth == SECOND else first > second
    return Grade(correct, {CORRECTNESS: reward}, readings={"rating_a": first, "rating_b": second})


def _single(truth: str, rating: float | None) -> Grade:
    if rating is None:
        return _unreadable()
    correct = rating > MIDDLE if truth == RIGHT else rating < MIDDLE
    return Grade(correct, {CORRECTNESS: single_reward(rating, truth == RIGHT)}, readings={"rating": rating})


def _unreadable() -> Grade:
    return Grade(False, {CORRECTNESS: REWARD_RANGE[0]}, readings={})
