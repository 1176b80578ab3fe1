"""Ratings read from free text, and their worth: hand-worked values and properties."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.tasks import ratings
from raysgpo.tasks.ratings import COIN_FLIP, REWARD_RANGE, pair_ratings, pair_reward, single_rating, single_reward

RATINGS = st.floats(0, 10)
NO_SINGLE = [
    "The loop is wrong: it keeps iterating 10 times.",
    "generating 3 primes",
    "3+4=7\n7-2=5\n#### 5",
    "3+4=7",
    "7-12=\n-5",
    "Rating: 3. Actually Rating: 95%",
    "Rating: 8 or 9",
    "So x is \\boxed{7}, and the response says the same.",
    "The answer is\n7\nso the response is right",
    "Steps:\n1.\n2. two\n",
]


@pytest.mark.parametrize(
    "text",
    [
        "Rating A: 8\nRating B: 3",
        "**Rating A:** 8\n**Rating B:** 3",
        "**Rating A: 8**\n**Rating B: 3**",
        "Rating B: 3\nRating A: 8",
        "rating of A: 8/10, rating of B: 3 / 10",
        "Rating for Response A: 8 out of 10\nRating for response B: 3 out of 10",
        "Score A = 8.0; Score B = 3.0",
        "Response A rating: 8\nResponse B rating: 3",
        "Candidate A's score: 8. Candidate B's score: 3.",
        "$v_A = 8$ and $v_B = 3$",
        "v_{A}=8, v_{B}=3",
        '{"rating_a": 8, "rating_b": 3}',
        '{"A": 8, "B": 3}',
        "| Rating A | 8 |\n| Rating B | 3 |",
        "A: 8\nB: 3",
        "Response A: 8/10\nResponse B: 3/10",
        "- **A:** 8\n- **B:** 3",
        "So I say \\boxed{8, 3}.",
        "Rating A\n8\nRating B\n3",
        "Rating (A): 8\nRating (B): 3",
        "Rating A is 8 and rating B is 3.",
        "Rating A - 8\nRating B - 3",
        "At first I thought Rating A: 2, Rating B: 9. But no.\nRating A: 8\nRating B: 3",
        "<think>Rating A: 1\nRating B: 1</think>\nRating A: 8\nRating B: 3",
        "Rating A: \\boxed{8}\nRating B: \\boxed{3}",
        "Rating A (10 = surely right): 8\nRating B (0-10): 3",
        "| Response | Rating |\n|---|---|\n| A | 8 |\n| B | 3 |",
        "Ratings: A: 8, B: 3",
        "A: 8, B: 3",
        "A's rating: 8\nB's rating: 3",
        "Rating A：8\nRating B：3",  # noqa: RUF001
        "rating a: 8\nrating b: 3",
        '{"response_a": 8, "response_b": 3}',
        '{"Response A": 8, "Response B": 3}',
        "Rating A: 5, Rating B: 5 at first.\nRating A: 8/10 - 1 point off for style\nRating B: 3",
        "Rating A: 8 (-2 for a missing edge case)\nRating B: 3",
        "Rating A: 8\nRating B: 3\n\nRating A is 5 points higher than Rating B.",
        "Rating A: 8\nRating B: 3\n\nRating A 10 would need tests.",
        'Rating A: 8\nRating B: 3\nExample: {"A": 1, "B": 2}',
        "Rating A: 8\nRating B: 3\nThe cars: v_A = 3 m/s, v_B = 4 m/s",
        "So \\boxed{A: 8, B: 3}",
        "So $\\boxed{(8, 3)}$.",
        "3+4=7\nA: 5, right\nB: 6, not 5\nRating A: 8\nRating B: 3",
    ],
)
def test_a_pair_is_read_however_it_is_written(text: str) -> None:
    assert pair_ratings(text) == (8.0, 3.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A is right and B is wrong.",
        "Rating A: 8",
        "Rating A: 8\nRating B:",
        "Rating A: 8\nRating B: -3",
        "Rating A: 11\nRating B: 3",
        "Rating A: 80%\nRating B: 30%",
        "Rating A: 8/100\nRating B: 3/100",
        "Rating A: 0-10\nRating B: 0-10",
        "Rating A: 0 to 10\nRating B: 0 to 10",
        "Rating A: high\nRating B: low",
        "\\boxed{8}",
        "A: 5, right\nB: 6, not 5",
        "<think>Rating A: 8\nRating B: 3</think>",
        "<think>Rating A: 8\nRating B: 3, let me check",
        "Rating A: 8\nRating B: 3\nNo: Rating A: -3\nRating B: 5",
        "Rating A: 8 or 9\nRating B: 3",
        "Rating A: 8~9\nRating B: 3",
        "Rating A: 1e1\nRating B: 0",
        "## Rating A\n\n1. Handles the empty list\nScore: 8/10\n\n## Rating B\n\n1. Fails\nScore: 2/10",
        "Rating A\n- 3 tests pass: 9/10\nRating B\n- 1 test passes: 2/10",
        "Answers:\nA: 7\nB: 3\n\nRating A: 2",
        "Response A: 5\nResponse B: 7\nSo A is right.",
        "So the point is \\boxed{3, 4}; A is right.",
        "Rating A: 8\nRating B: 3" + "x" * 5000,
    ],
)
def test_what_is_no_pair_of_ratings_is_not_read_as_one(text: str) -> None:
    assert pair_ratings(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Rating: 7.5",
        "**Rating:** 7.5/10",
        "My score for this response is 7.5.",
        "Rating A: 7.5",
        "Score: 3. No, wait. Score: 7.5",
        "\\boxed{7.5}",
        "It is right.\n7.5",
        '{"rating": 7.5}',
        "Rating (1 is worst, 10 is best): 7.5",
        "Rating: 7.5\nThe bug is iterating 10 times.",
        "Rating: 7.5\n\nJustification: integrating 2x gives x^2",
        "Rating: 7.5\n\nConfidence score: 3",
        "Rating: 7.5\n\nExplanation: `score = 0` is the right start.",
    ],
)
def test_a_single_rating_is_read_too(text: str) -> None:
    assert single_rating(text) == 7.5


@pytest.mark.parametrize(
    "text", ["", "right", "Rating: 12", "Rating: -1", "Rating: 0-10", "there are 7 errors", *NO_SINGLE]
)
def test_what_is_no_single_rating_is_not_read_as_one(text: str) -> None:
    assert single_rating(text) is None


UNITS = [" ", "\n", "*", ".", ":", "9", "1.", "1 ", "Rating A ", "Rating A: ", "\n* ", "Rating A:\n", '"A" ', "v_{"]


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_no_response_makes_the_reading_slow(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where all of it is read, and not the end alone: the time is linear."""
    monkeypatch.setattr(ratings, "_TAIL", 1_000_000)
    text = unit * (400_000 // len(unit))
    start = time.process_time()
    for head, tail in (("", ""), ("A: ", "x"), ("Rating A", "x"), ("Response A", "\nB: 3")):
        pair_ratings(head + text + tail), single_rating(head + text + tail)
    assert time.process_time() - start < 20.0, "squared it would be ten minutes"


def test_the_end_of_a_response_is_all_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = ratings._plain

    def reading(text: str) -> str:
        read.append(len(text))
        return plain(text)

    monkeypatch.setattr(ratings, "_plain", reading)
    said = "Rating A: 8\nRating B: 3"
    assert pair_ratings(said + " " * 4000) == (8.0, 3.0) and pair_ratings(said + " " * 5000) is None
    assert single_rating("Rating: 8" + " " * 1_000_000) is None
    assert read == [4000 + len(said), 4096, 4096]


def test_rewards_by_hand() -> None:
    assert pair_reward(3, 8, second_is_right=True) == pytest.approx(math.log(0.75))
    assert pair_reward(3, 8, second_is_right=False) == pytest.approx(math.log(0.25))
    assert pair_reward(0, 10, second_is_right=True) == pytest.approx(math.log(0.99))
    assert pair_reward(0, 10, second_is_right=False) == pytest.approx(math.log(0.01))
    assert pair_reward(6, 6, second_is_right=True) == COIN_FLIP == pytest.approx(-0.693147, abs=1e-6)
    assert single_reward(7, right=True) == pytest.approx(math.log(0.7))
    assert single_reward(7, right=False) == pytest.approx(math.log(0.3))
    assert single_reward(0, right=True) == pytest.approx(math.log(0.01))


@given(RATINGS, RATINGS, st.booleans())
def test_the_order_in_which_a_pair_is_shown_plays_no_part(first: float, second: float, truth: bool) -> None:
    assert pair_reward(first, second, truth) == pytest.approx(pair_reward(second, first, not truth), abs=1e-12)


@given(RATINGS, RATINGS)
def test_the_worth_of_a_pair_passes_the_coin_flip_just_where_it_prefers_the_right_one(a: float, b: float) -> None:
    reward = pair_reward(a, b, second_is_right=True)
    assert REWARD_RANGE[0] <= reward <= REWARD_RANGE[1]
    if abs(a - b) > 1e-9:
        assert (reward > COIN_FLIP) == (b > a)


@given(RATINGS, st.booleans())
def test_the_two_truths_share_one_chance(rating: float, right: bool) -> None:
    assert math.exp(single_reward(rating, right)) + math.exp(single_reward(rating, not right)) == pytest.approx(1)


NUMBERS = st.one_of(st.integers(-3, 13), st.integers(0, 130).map(lambda tenths: tenths / 10)).map(str)


@given(NUMBERS, NUMBERS, st.sampled_from(["Rating A: {}\nRating B: {}", "v_A = {}, v_B = {}", "\\boxed{{{}, {}}}"]))
def test_a_pair_within_the_scale_is_read_and_no_other(first: str, second: str, form: str) -> None:
    inside = all(0 <= float(number) <= 10 for number in (first, second))
    assert pair_ratings(form.format(first, second)) == ((float(first), float(second)) if inside else None)


@given(NUMBERS, st.sampled_from(["Rating: {}", "My score: {}", "\\boxed{{{}}}", "It is right.\n{}"]))
def test_a_single_rating_within_the_scale_is_read_and_no_other(number: str, form: str) -> None:
    assert single_rating(form.format(number)) == (float(number) if 0 <= float(number) <= 10 else None)


@given(st.text(alphabet="Rating AB:0123456789/.-*\n{}\\boxed", max_size=80))
def test_any_jumble_is_a_rating_within_the_scale_or_none(text: str) -> None:
    values = [*(pair_ratings(text) or ()), single_rating(text)]
    assert all(value is None or 0 <= value <= 10 for value in values)
