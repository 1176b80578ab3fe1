"""Planning a step: every sequence once, within the budget, the same number of passes on every rank."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raysgpo.policy.micro_batches import Layout, choose_layout, plan_micro_batches, tokens_of

LENGTHS = st.lists(st.integers(1, 200), max_size=60)
WORLD = st.integers(1, 9)
BUDGET = st.integers(1, 600)
LAYOUT = st.sampled_from(["padded", "packed"])


@given(LENGTHS, WORLD, BUDGET, LAYOUT)
def test_every_sequence_is_trained_on_exactly_once(lengths: list[int], world: int, budget: int, layout: Layout) -> None:
    plan = plan_micro_batches(lengths, world, budget, layout)
    assert sorted(index for rank in plan for cut in rank for index in cut) == list(range(len(lengths)))


@given(LENGTHS, WORLD, BUDGET, LAYOUT)
def test_every_rank_makes_the_same_number_of_passes(
    lengths: list[int], world: int, budget: int, layout: Layout
) -> None:
    plan = plan_micro_batches(lengths, world, budget, layout)
    assert len(plan) == world
    assert len({len(rank) for rank in plan}) == 1
    assert len(plan[0]) >= 1


@given(LENGTHS, WORLD, BUDGET, LAYOUT)
def test_a_pass_keeps_the_budget_unless_one_sequence_alone_exceeds_it(
    lengths: list[int], world: int, budget: int, layout: Layout
) -> None:
    for rank in plan_micro_batches(lengths, world, budget, layout):
        for cut in rank:
            sizes = [lengths[i] for i in cut]
            computed = sum(sizes) if layout == "packed" else len(sizes) * max(sizes, default=0)
            assert computed <= budget or len(cut) == 1


@given(LENGTHS, WORLD, BUDGET, LAYOUT)
def test_the_loads_of_ranks_differ_by_at_most_one_sequence(
    lengths: list[int], world: int, budget: int, layout: Layout
) -> None:
    loads = [
        sum(lengths[i] for cut in rank for i in cut) for rank in plan_micro_batches(lengths, world, budget, layout)
    ]
    assert max(loads) - min(loads) <= max(lengths, default=0)


@given(LENGTHS, WORLD, BUDGET, LAYOUT)
def test_no_pass_is_empty_while_another_of_its_rank_could_be_halved(
    lengths: list[int], world: int, budget: int, layout: Layout
) -> None:
    for rank in plan_micro_batches(lengths, world, budget, layout):
        assert all(rank) or all(len(cut) <= 1 for cut in rank)


@given(LENGTHS, WORLD, BUDGET, LAYOUT)
def test_the_same_step_is_planned_in_the_same_way(lengths: list[int], world: int, budget: int, layout: Layout) -> None:
    assert plan_micro_batches(lengths, world, budget, layout) == plan_micro_batches(
        list(lengths), world, budget, layout
    )


@given(LENGTHS, BUDGET, LAYOUT)
def test_the_largest_passes_come_first_so_that_ranks_meet_in_collectives(
    lengths: list[int], budget: int, layout: Layout
) -> None:
    for rank in plan_micro_batches(lengths, 2, budget, layout):
        costs = [tokens_of([lengths[i] for i in cut], layout) for cut in rank]
        assert costs == sorted(costs, reverse=True)


def test_a_hand_worked_padded_plan() -> None:
    # Longest first to the lighter rank (a tie goes to the first): 9 | 8, 9 | 8 5, 9 4 | 8 5, 9 4 1 | 8 5.
    plan = plan_micro_batches([4, 9, 1, 8, 5], world=2, tokens_per_micro_batch=16, layout="padded")
    # 2 x 9 = 18 is over the budget, 2 x 4 is not; 2 x 8 = 16 just fits, but is halved to keep step.
    assert plan == [[[1], [0, 2]], [[3], [4]]]


def test_a_hand_worked_packed_plan() -> None:
    # First fit, longest first, 10 a row: 6+4, 5+5, 3.
    assert plan_micro_batches([5, 3, 6, 5, 4], 1, 10, "packed") == [[[2, 4], [0, 3], [1]]]


def test_padding_counts_as_tokens_and_packing_has_none() -> None:
    assert tokens_of([3, 7, 5], "padded") == 21
    assert tokens_of([3, 7, 5], "packed") == 15
    assert tokens_of([], "padded") == tokens_of([], "packed") == 0


def test_ranks_without_a_sequence_still_make_a_pass() -> None:
    assert plan_micro_batches([12], world=3, tokens_per_micro_batch=100, layout="padded") == [[[0]], [[]], [[]]]


def test_auto_packs_for_variable_length_kernels_only() -> None:
    assert choose_layout("auto", "flash_attention_2") == "packed"
    assert choose_layout("auto", "kernels-community/flash-attn3") == "packed"
    assert choose_layout("auto", "sdpa") == "padded"
    assert choose_layout("auto", "eager") == "padded"
    assert choose_layout("packed", "sdpa") == "packed"
    assert choose_layout("padded", "flash_attention_2") == "padded"
