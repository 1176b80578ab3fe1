"""The learning rate, by hand-worked values."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import OptimizerConfig
from raysgpo.policy.learning_rate import Schedule, learning_rate


def rates(warmup: int, schedule: Schedule, total: int) -> list[float]:
    return [learning_rate(step, 8.0, warmup, schedule, total) for step in range(total)]


def test_warm_up_rises_linearly_and_ends_at_the_peak() -> None:
    assert rates(4, "constant", 6) == [2, 4, 6, 8, 8, 8]


def test_linear_falls_by_equal_amounts_and_its_last_step_still_moves() -> None:
    assert rates(2, "linear", 6) == [4, 8, 8, 6, 4, 2]


def test_cosine_is_half_way_in_the_middle() -> None:
    assert rates(0, "cosine", 4) == pytest.approx([8, 8 * (1 + 0.5**0.5) / 2, 4, 8 * (1 - 0.5**0.5) / 2])


def test_a_single_step_is_taken_at_the_peak() -> None:
    assert all(rates(0, schedule, 1) == [8] for schedule in ("constant", "linear", "cosine"))


def test_past_the_planned_end_nothing_turns_negative_or_rises_again() -> None:
    assert learning_rate(50, 8.0, 0, "linear", 10) == 0
    assert learning_rate(50, 8.0, 0, "cosine", 10) == pytest.approx(0)


@given(st.integers(0, 30), st.sampled_from(["linear", "cosine"]), st.integers(1, 40))
def test_after_the_warm_up_it_never_rises_and_never_dies(warmup: int, schedule: Schedule, total: int) -> None:
    after = rates(warmup, schedule, total)[warmup:]
    assert all(later <= earlier for earlier, later in pairwise(after))
    assert all(rate > 0 for rate in after)


def test_a_warm_up_may_be_a_share_of_all_steps() -> None:
    assert OptimizerConfig(warmup_ratio=0.1).warmup(41) == 5
    assert OptimizerConfig(warmup_ratio=0.0).warmup(41) == 0
    assert OptimizerConfig(warmup_steps=3).warmup(41) == 3
