"""The closed form of section 3.2 against hand-worked values, the paper's curve and Theorem 3.3."""

from __future__ import annotations

import math
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.studies.theory import dynamics
from raysgpo.studies.theory.dynamics import MOVES, Curve, check_theorem, closed_form, moved

CHANCE = st.floats(1e-6, 1 - 1e-6)
RECOMPUTED = {  # iteration to p and p q of SGPO, p and p q of GRPO: eqs. 3 and 4 iterated apart from this code
    2: (0.621550, 0.332716, 0.563969, 0.318061),
    5: (0.759829, 0.468671, 0.665224, 0.442523),
    10: (0.870671, 0.666991, 0.802132, 0.643416),
    20: (0.938817, 0.849527, 0.915932, 0.838932),
    50: (0.977627, 0.950642, 0.974038, 0.948751),
    100: (0.989310, 0.977448, 0.988426, 0.976985),
}


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_one_step_by_hand() -> None:
    # a is 1/4 and 1/16 under SGPO, 1/8 twice under GRPO, and the log-odds of 1/2 are 0.
    (_, sgpo), (_, grpo) = (list(islice(closed_form(method), 2)) for method in ("sgpo", "grpo"))
    assert sgpo == pytest.approx((logistic(1 / 4), logistic(1 / 16)), abs=1e-15)
    assert grpo == pytest.approx((logistic(1 / 8), logistic(1 / 8)), abs=1e-15)
    assert sgpo == pytest.approx((0.562177, 0.515620), abs=1e-6)
    assert grpo == pytest.approx((0.531209, 0.531209), abs=1e-6)


def test_the_curves_of_figure_2() -> None:
    sgpo, grpo = (Curve.of(closed_form(method), 100) for method in ("sgpo", "grpo"))
    assert len(sgpo.p_K) == len(grpo.q_K) == 101
    for k, expected in RECOMPUTED.items():
        found = (sgpo.p_K[k], sgpo.pq_K[k], grpo.p_K[k], grpo.pq_K[k])
        assert found == pytest.approx(expected, abs=1e-6)


@given(CHANCE, st.floats(-2, 2))
def test_a_move_is_added_to_the_log_odds(chance: float, move: float) -> None:
    assert moved(chance, move) == pytest.approx(logistic(math.log(chance / (1 - chance)) + move), rel=1e-9)


@given(CHANCE, CHANCE)
def test_every_chance_rises_under_both_methods(p: float, q: float) -> None:
    for moves in MOVES.values():
        a_p, a_q = moves(p, q)
        assert 0 < a_p < 1 and 0 < a_q < 1


def test_theorem_3_3_holds_for_100_000_iterations_without_a_tolerance() -> None:
    check = check_theorem(100_000)
    assert check.holds
    assert check.p.held == check.pq.held == 100_000
    assert check.p.least > 0 and check.pq.least > 0
    # (i): 1 - x falls like 1 / k, since the log-odds of x rise by about 1 - x.
    for chance in (*check.sgpo, *check.grpo):
        assert 100_000 * (1 - chance) == pytest.approx(1, rel=1e-3)


def test_the_second_step_of_sgpo_is_never_ahead_of_grpos() -> None:
    check = check_theorem(1_000)
    assert check.q.held == 0 and check.q.least < 0


def test_both_chances_of_grpo_are_equal_to_the_last_bit() -> None:
    curve = Curve.of(closed_form("grpo"), 20_000)
    assert (curve.p_K == curve.q_K).all()


def test_the_theorem_fails_where_the_methods_are_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "MOVES", {"sgpo": MOVES["grpo"], "grpo": MOVES["sgpo"]})
    check = check_theorem(50)
    assert not check.holds and check.p.held == check.pq.held == 0
    assert check.p.least < 0 and check.p.least_at > 1


def test_equal_methods_satisfy_no_strict_inequality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "MOVES", {"sgpo": MOVES["grpo"], "grpo": MOVES["grpo"]})
    assert not check_theorem(3).holds
