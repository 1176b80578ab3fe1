"""The majority vote over positions of the first error."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.judging.votes import agreement, majority

VOTES = st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=7)


@pytest.mark.parametrize(
    ("votes", "position"),
    [
        ([3], 3),
        ([3, 1, 3], 3),
        ([4, 4, 2, 2], 2),  # a tie goes to the earliest
        ([4, 4, 2, 2, 0], 2),  # not to a minority that is earlier still
        ([5, 1, 3], 3),  # all different: the median
        ([5, 1, 3, 0], 1),  # of an even number the lower one
        ([5, 0], 0),
        ([5, 5, 1], 5),  # "no error" in a response of five steps is a vote like others
        ([None, 2, None], 2),
        ([None, 4, 4, 1], 4),
        ([None, None], None),
        ([], None),
    ],
)
def test_by_hand(votes: list[int | None], position: int | None) -> None:
    assert majority(votes) == position


@given(VOTES, st.data())
def test_order_and_lost_votes_do_not_matter(votes: list[int | None], data: st.DataObject) -> None:
    kept = [vote for vote in votes if vote is not None]
    assert majority(votes) == majority(data.draw(st.permutations(votes))) == majority(kept)


@given(VOTES)
def test_against_the_definition(votes: list[int | None]) -> None:
    kept = [vote for vote in votes if vote is not None]
    winner = majority(votes)
    if not kept:
        assert winner is None
    elif len(set(kept)) == len(kept):
        assert winner == statistics.median_low(kept)
    else:
        counts = Counter(kept)
        assert winner is not None
        assert all(counts[winner] > counts[vote] or winner <= vote for vote in kept if counts[vote] > 1)
        assert counts[winner] == max(counts.values())


@pytest.mark.parametrize(
    ("votes", "share"),
    [([2, 2, 2, 2], 1.0), ([2, 2, 1, None], 2 / 3), ([3, 1], 0.5), ([4], None), ([None, 4], None), ([], None)],
)
def test_agreement_is_the_share_of_the_winner(votes: list[int | None], share: float | None) -> None:
    assert agreement(votes) == share
