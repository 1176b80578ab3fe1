"""One advantage a step: a group by hand, what its stamps sum to, their signs, and where the gradient points."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.algorithms.advantages import group_advantages
from raysgpo.algorithms.partial_credit import partial_credit, trajectory_score
from raysgpo.algorithms.step_credit import Float_N, prefix, split

ADVANTAGES = st.floats(-5, 5, allow_subnormal=False)


@st.composite
def answers(draw: st.DrawFn, least: int = 1) -> tuple[list[float], list[int], list[int]]:
    """(advantages, first errors, steps) of a group; an error at the number of steps is none."""
    steps = draw(st.lists(st.integers(1, 6), min_size=least, max_size=8))
    errors = [draw(st.integers(0, n)) for n in steps]
    return [draw(ADVANTAGES) for _ in steps], errors, steps


def credited(errors: Sequence[int], steps: int, baseline: str = "mean") -> list[float]:
    """Advantages of answers of so many steps by their raw RTS, of which no wrong answer is worth one half."""
    rewards = [
        partial_credit(trajectory_score(error, [1] * steps, truncated=False), kind="raw", scale=0.5) for error in errors
    ]
    return group_advantages(rewards, baseline=baseline, r_min_correct=0.5, scale="none").tolist()


def test_a_group_by_hand() -> None:
    """Four answers of four steps that err in the first, second, third and last: raw RTS 0, 1/4, 1/2, 3/4, mean 3/8.

    What one may expect that is right up to step 0, 1, 2, 3: 0, then the means of the last three advantages, of the last
    two, and the last, 1/8, 1/4, 3/8.
    """
    advantages = [-3 / 8, -1 / 8, 1 / 8, 3 / 8]
    assert [prefix(a, e, 4).tolist() for e, a in enumerate(advantages)] == [
        [-3 / 8, -3 / 8, -3 / 8, -3 / 8],
        [0, -1 / 8, -1 / 8, -1 / 8],
        [1 / 8, 1 / 8, 0, 0],
        [3 / 8, 3 / 8, 3 / 8, 0],
    ]
    assert [stamps_N.tolist() for stamps_N in split(advantages, range(4), [4] * 4)] == [
        [-3 / 8, 0, 0, 0],
        [1 / 8, -1 / 4, 0, 0],
        [1 / 8, 1 / 8, -1 / 8, 0],
        [1 / 8, 1 / 8, 1 / 8, 0],
    ]


def test_an_answer_that_got_less_far_and_fares_better_has_its_surplus_on_its_last_right_step() -> None:
    """One step of two (RTS 1/2) against one and two of ten (1/10, 1/5): mean 4/15."""
    found = split([7 / 30, -1 / 6, -1 / 15], [1, 1, 2], [2, 10, 10])
    assert found[0].tolist() == pytest.approx([7 / 30, 0])
    assert found[1].tolist() == pytest.approx([0, -1 / 6, *[0] * 8])
    assert found[2].tolist() == pytest.approx([0, 0, -1 / 15, *[0] * 7])


@given(ADVANTAGES, st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_under_prefix_the_tokens_sum_to_what_is_documented(a: float, tokens: list[int], data: st.DataObject) -> None:
    error = data.draw(st.integers(0, len(tokens)))
    stamps_T = np.repeat(prefix(a, error, len(tokens)), tokens)
    before, behind = sum(tokens[:error]), sum(tokens[error:])
    assert stamps_T.sum() == pytest.approx(before * max(a, 0) + behind * min(a, 0))
    assert set(stamps_T) <= {0.0, a}


@given(answers(), st.booleans())
def test_under_split_the_steps_of_an_answer_sum_to_its_advantage(
    group: tuple[list[float], list[int], list[int]], flat: bool
) -> None:
    for stamps_N, a, error, steps in zip(split(*group, flat=flat), *group, strict=True):
        assert len(stamps_N) == steps
        if error == steps:
            assert stamps_N.sum() >= a - 1e-9
        else:
            assert stamps_N.sum() == pytest.approx(min(a, 0) if error == 0 else a, abs=1e-9)


@given(answers(), st.booleans())
def test_no_right_step_is_pushed_down_and_no_other_is_reinforced(
    group: tuple[list[float], list[int], list[int]], flat: bool
) -> None:
    by_prefix = [prefix(a, error, steps) for a, error, steps in zip(*group, strict=True)]
    for stamps_N, error in zip([*by_prefix, *split(*group, flat=flat)], group[1] * 2, strict=True):
        assert (stamps_N[:error] >= 0).all() and (stamps_N[error:] <= 0).all()


@given(st.lists(st.integers(0, 4), min_size=2, max_size=8))
def test_where_all_answers_have_the_same_steps_each_step_is_compared_with_itself(errors: list[int]) -> None:
    """Of SGPO's rewards under the mean, the stamps of one step sum to 0 over the answers that came to it."""
    found = np.array(split(credited(errors, 5), errors, [5] * len(errors)))
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-12)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=8), st.sampled_from(["static", "corpo"]))
def test_under_a_threshold_no_step_of_a_failed_answer_is_reinforced(errors: list[int], baseline: str) -> None:
    """And its first wrong step carries all of its advantage, which is below 0."""
    advantages = credited(errors, 5, baseline)
    assert max(advantages) < 0
    for flat in (True, False):
        for stamps_N, a, error in zip(
            split(advantages, errors, [5] * len(errors), flat=flat), advantages, errors, strict=True
        ):
            assert stamps_N.tolist() == [a if step == error else 0.0 for step in range(5)]
    for a, error in zip(advantages, errors, strict=True):
        assert prefix(a, error, 5).max() <= 0


def test_a_failure_beside_acceptable_wrong_answers_is_reinforced_nowhere_if_the_line_is_flat() -> None:
    raised, flat = (split([-0.2, 0.6], [1, 2], [3, 3], flat=flat)[0] for flat in (False, True))
    assert raised[0] == pytest.approx(0.2) and flat.tolist() == [0, -0.2, 0]


@given(answers(), st.randoms())
def test_the_order_of_the_answers_changes_nothing(
    group: tuple[list[float], list[int], list[int]], random: Random
) -> None:
    advantages, errors, steps = group
    order = list(range(len(steps)))
    random.shuffle(order)
    found = split(advantages, errors, steps)
    shuffled = split([advantages[i] for i in order], [errors[i] for i in order], [steps[i] for i in order])
    for place, index in enumerate(order):
        np.testing.assert_allclose(shuffled[place], found[index], atol=1e-12)


def gradients(chances: Sequence[float], credit: str, groups: int, size: int, seed: int) -> Float_N:
    """Policy gradient of the log-odds of each step's being right, one a group: [groups, steps].

    A step is right with its own chance, whatever stands before it, and so is one behind a wrong one.
    Under ``answer`` every step carries the advantage of its answer.
    """
    rng = np.random.default_rng(seed)
    right = rng.random((groups, size, len(chances))) < chances
    found = np.zeros((groups, len(chances)))
    for number, group in enumerate(right):
        errors = np.where(group.all(axis=1), len(chances) - 1, np.argmin(group, axis=1))
        group[np.arange(size), errors] = False  # none is right to the end: all groups are all-negative
        advantages = credited(errors.tolist(), len(chances))
        if credit == "answer":
            stamps = np.repeat(np.array(advantages)[:, None], len(chances), axis=1)
        elif credit == "split":
            stamps = np.array(split(advantages, errors, [len(chances)] * size))
        else:
            stamps = np.array([prefix(a, e, len(chances)) for a, e in zip(advantages, errors.tolist(), strict=True)])
        found[number] = (stamps * (group - np.array(chances))).mean(axis=0)
    return found


def test_split_points_where_answer_points_with_less_noise() -> None:
    """In large groups: the gradient of a step is that of the reward, and steps behind the first error add no noise.

    Under ``prefix`` it is larger where a wrong answer that got past the step has A < 0 (the first), or one that errs
    there has A > 0 (the third).
    """
    chances = (0.8, 0.6, 0.5, 0.5)
    means, errors = {}, {}
    for credit in ("answer", "split", "prefix"):
        drawn = gradients(chances, credit, groups=100, size=128, seed=1)
        means[credit], errors[credit] = drawn.mean(axis=0), drawn.std(axis=0) / 10
    gap = np.abs(means["answer"] - means["split"])[:3]
    assert (gap < 4 * errors["answer"][:3] + 0.02 * means["answer"][:3]).all()
    further = means["prefix"] - means["answer"]
    assert (further[[0, 2]] > 4 * errors["answer"][[0, 2]]).all() and abs(further[1]) < 1e-12
    assert (errors["split"][1:3] < 0.7 * errors["answer"][1:3]).all()
