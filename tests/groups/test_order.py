"""The order of the prompts is a pure function of seed and position."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raysgpo.groups.order import Order, rollout_seeds


@given(size=st.integers(1, 50), seed=st.integers(0, 3), epoch=st.integers(0, 5))
def test_every_epoch_visits_each_problem_once(size: int, seed: int, epoch: int) -> None:
    order = Order(size, seed)
    visited = [order.at(position) for position in range(epoch * size, (epoch + 1) * size)]
    assert {found for found, _ in visited} == {epoch}
    assert sorted(index for _, index in visited) == list(range(size))


@given(st.lists(st.integers(0, 200), min_size=1, max_size=20))
def test_a_position_stands_for_the_same_problem_whatever_was_asked_before(positions: list[int]) -> None:
    asked = Order(30, seed=1)
    assert [asked.at(p) for p in positions] == [Order(30, seed=1).at(p) for p in positions]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = Order(100, seed=0), Order(100, seed=1)
    orders = [[order.at(start + i)[1] for i in range(100)] for order in (first, second) for start in (0, 100)]
    assert len({tuple(order) for order in orders}) == 4


def test_every_rollout_of_every_epoch_has_a_seed_of_its_own() -> None:
    seeds = [
        seed
        for run in range(2)
        for epoch in range(3)
        for problem in ("a", "b")
        for seed in rollout_seeds(run, epoch, problem, 8)
    ]
    assert len(set(seeds)) == len(seeds) == 96


def test_a_larger_group_keeps_the_seeds_of_the_smaller_one() -> None:
    assert rollout_seeds(0, 1, "p", 8)[:4] == rollout_seeds(0, 1, "p", 4)


@given(ranks=st.lists(st.integers(0, 3), min_size=1, max_size=30), seed=st.integers(0, 3), epoch=st.integers(0, 3))
def test_a_ranked_epoch_goes_from_low_to_high_and_shuffles_what_is_equal(
    ranks: list[int], seed: int, epoch: int
) -> None:
    size = len(ranks)
    order, plain = Order(size, seed, lambda epoch: ranks), Order(size, seed)
    visited = [order.at(epoch * size + place)[1] for place in range(size)]
    shuffled = [plain.at(epoch * size + place)[1] for place in range(size)]
    assert visited == sorted(shuffled, key=lambda index: ranks[index])


def test_each_epoch_has_its_own_ranks() -> None:
    order = Order(5, 0, lambda epoch: [(-1) ** epoch * index for index in range(5)])
    assert [order.at(position)[1] for position in range(10)] == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0]
