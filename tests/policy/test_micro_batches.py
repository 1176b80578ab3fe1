"""Planning a step: every sequence once, within the budget, the same number of passes on every rank."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from raysgpo.config import TrainerConfig
from raysgpo.policy.layout import Layout, Size, choose_attention, choose_layout, cost_of, tokens_of
from raysgpo.policy.micro_batches import PASS_TOKENS, plan_micro_batches

SIZES = st.lists(st.tuples(st.integers(1, 120), st.lists(st.integers(1, 80), min_size=1, max_size=8)), max_size=9).map(
    lambda groups: [
        Size(prompt + answer, prompt, number) for number, (prompt, answers) in enumerate(groups) for answer in answers
    ]
)
WORLD = st.integers(1, 9)
BUDGET = st.integers(1, 600)
LAYOUT = st.sampled_from(["shared", "padded", "packed"])


def lengths(*tokens: int) -> list[Size]:
    """Sequences that have nothing in common."""
    return [Size(length, 0, number) for number, length in enumerate(tokens)]


@given(SIZES, WORLD, BUDGET, LAYOUT)
def test_every_sequence_is_trained_on_exactly_once(sizes: list[Size], world: int, budget: int, layout: Layout) -> None:
    plan = plan_micro_batches(sizes, world, budget, layout)
    assert sorted(index for rank in plan for cut in rank for index in cut) == list(range(len(sizes)))


@given(SIZES, WORLD, BUDGET, LAYOUT)
def test_every_rank_makes_the_same_number_of_passes(sizes: list[Size], world: int, budget: int, layout: Layout) -> None:
    plan = plan_micro_batches(sizes, world, budget, layout)
    assert len(plan) == world
    assert len({len(rank) for rank in plan}) == 1
    assert len(plan[0]) >= 1


@given(SIZES, WORLD, BUDGET, LAYOUT)
def test_a_pass_keeps_the_budget_unless_one_sequence_alone_exceeds_it(
    sizes: list[Size], world: int, budget: int, layout: Layout
) -> None:
    for rank in plan_micro_batches(sizes, world, budget, layout):
        for cut in rank:
            assert tokens_of([sizes[i] for i in cut], layout) <= budget or len(cut) == 1


PARITY = st.one_of(st.none(), st.integers(1, 300))


@given(SIZES, WORLD, BUDGET, st.sampled_from(["padded", "packed"]), PARITY)
def test_the_loads_of_ranks_differ_by_at_most_one_sequence(
    sizes: list[Size], world: int, budget: int, layout: Layout, parity: int | None
) -> None:
    plan = plan_micro_batches(sizes, world, budget, layout, parity)
    alone = [cost_of([size], layout, parity) for size in sizes]
    loads = [sum(alone[i] for cut in rank for i in cut) for rank in plan]
    assert max(loads) - min(loads) <= max(alone, default=0) * (1 + 1e-9)


def test_long_sequences_weigh_more_than_their_tokens() -> None:
    """8 tokens where attention costs as much as all else at 4: 8 + 64 / 4 = 24, and twice 4: 2 (4 + 16 / 4) = 16."""
    assert cost_of(lengths(8), "packed", 4) == 24
    assert cost_of(lengths(4, 4), "packed", 4) == cost_of(lengths(4, 4), "padded", 4) == 16
    assert cost_of(lengths(8, 4), "padded", 4) == 48
    assert cost_of(lengths(8, 4), "packed", 4) == 32
    assert cost_of([], "packed", 4) == 0
    # By tokens 16 and 12, which is 40 and 24 of work; by work 32 each.
    sizes = lengths(8, 4, 4, 4, 4, 4)
    assert plan_micro_batches(sizes, 2, 24, "packed") == [[[0, 3, 5]], [[1, 2, 4]]]
    assert plan_micro_batches(sizes, 2, 24, "packed", parity=4) == [[[0, 4]], [[1, 2, 3, 5]]]


@given(SIZES, PARITY)
def test_shared_prompts_cost_what_their_queries_attend_to(sizes: list[Size], parity: int | None) -> None:
    """Counted query by query: each attends to itself and what is before it in its sequence."""
    if parity is None or not sizes:
        return

    def queries(start: int, end: int) -> float:
        return sum(1 + (2 * at + 1) / parity for at in range(start, end))

    prompts = {size.group: size.prompt for size in sizes}.values()
    expected = sum(queries(0, prompt) for prompt in prompts) + sum(queries(s.prompt, s.length) for s in sizes)
    assert abs(cost_of(sizes, "shared", parity) - expected) < 1e-6 * max(1, expected)


@given(SIZES, WORLD, BUDGET, LAYOUT)
def test_no_pass_is_empty_while_another_of_its_rank_could_be_halved(
    sizes: list[Size], world: int, budget: int, layout: Layout
) -> None:
    for rank in plan_micro_batches(sizes, world, budget, layout):
        assert all(rank) or all(len(cut) <= 1 for cut in rank)


@given(SIZES, WORLD, BUDGET, LAYOUT)
def test_the_same_step_is_planned_in_the_same_way(sizes: list[Size], world: int, budget: int, layout: Layout) -> None:
    assert plan_micro_batches(sizes, world, budget, layout) == plan_micro_batches(list(sizes), world, budget, layout)


@given(SIZES, BUDGET, LAYOUT)
def test_the_largest_passes_come_first_so_that_ranks_meet_in_collectives(
    sizes: list[Size], budget: int, layout: Layout
) -> None:
    for rank in plan_micro_batches(sizes, 2, budget, layout):
        costs = [tokens_of([sizes[i] for i in cut], layout) for cut in rank]
        assert costs == sorted(costs, reverse=True)


def test_a_hand_worked_padded_plan() -> None:
    # Longest first to the lighter rank (a tie goes to the first): 9 | 8, 9 | 8 5, 9 4 | 8 5, 9 4 1 | 8 5.
    plan = plan_micro_batches(lengths(4, 9, 1, 8, 5), world=2, tokens_per_micro_batch=16, layout="padded")
    # 2 x 9 = 18 is over the budget, 2 x 4 is not; 2 x 8 = 16 just fits, but is halved to keep step.
    assert plan == [[[1], [0, 2]], [[3], [4]]]


def test_a_hand_worked_packed_plan() -> None:
    # First fit, longest first, 10 a row: 6+4, 5+5, 3.
    assert plan_micro_batches(lengths(5, 3, 6, 5, 4), 1, 10, "packed") == [[[2, 4], [0, 3], [1]]]


def test_padding_counts_as_tokens_and_packing_has_none() -> None:
    assert tokens_of(lengths(3, 7, 5), "padded") == 21
    assert tokens_of(lengths(3, 7, 5), "packed") == 15
    assert tokens_of([], "padded") == tokens_of([], "packed") == 0


def test_ranks_without_a_sequence_still_make_a_pass() -> None:
    assert plan_micro_batches(lengths(12), world=3, tokens_per_micro_batch=100, layout="padded") == [[[0]], [[]], [[]]]


def test_a_hand_worked_shared_plan() -> None:
    # Two prompts of 10 and 12 tokens with two answers each: 10 + 3 + 2 and 12 + 3 + 2.
    sizes = [Size(13, 10, 0), Size(12, 10, 0), Size(15, 12, 1), Size(14, 12, 1)]
    assert tokens_of(sizes, "shared") == 15 + 17
    assert plan_micro_batches(sizes, 1, 32, "shared") == [[[2, 3, 0, 1]]]
    assert plan_micro_batches(sizes, 1, 31, "shared") == [[[2, 3], [0, 1]]]
    assert plan_micro_batches(sizes, 2, 32, "shared") == [[[2, 3]], [[0, 1]]]


def test_a_group_over_the_budget_is_cut_and_its_prompt_computed_once_a_part() -> None:
    sizes = [Size(20 + answer, 20, 0) for answer in (5, 5, 4, 4, 1)]
    assert plan_micro_batches(sizes, 1, 30, "shared") == [[[0, 1], [2, 3, 4]]]
    assert plan_micro_batches(sizes, 1, 26, "shared") == [[[0], [1], [3, 4], [2]]]


def test_what_has_nothing_in_common_shares_nothing() -> None:
    assert tokens_of([Size(9, 5, 0), Size(8, 5, 1)], "shared") == 17
    assert tokens_of([Size(9, 0, 0), Size(8, 0, 0)], "shared") == 17


@example(
    [
        Size(prompt + answer, prompt, group)
        for group, (prompt, answers) in enumerate(
            [
                (1, [23, 76]),
                (2, [1, 2, 1, 2, 39, 80, 80]),
                (100, [2, 4, 8, 37, 41, 70, 75, 75]),
                (1, [29]),
                (1, [1, 44, 55, 66, 80]),
                (74, [1, 61]),
                (92, [10, 10]),
                (112, [1, 35]),
                (31, [1, 1, 1, 1, 1, 14, 43, 64]),
            ]
        )
        for answer in answers
    ],
    5,
    308,
)
@given(SIZES, WORLD, BUDGET)
def test_sharing_never_leaves_the_slowest_rank_more_to_compute(sizes: list[Size], world: int, budget: int) -> None:
    def slowest(layout: Layout) -> int:
        plan = plan_micro_batches(sizes, world, budget, layout)
        return max(sum(tokens_of([sizes[i] for i in cut], layout) + PASS_TOKENS for cut in rank) for rank in plan)

    assert slowest("shared") <= slowest("packed")


@given(SIZES, BUDGET)
def test_where_groups_are_handed_out_each_stays_on_one_rank(sizes: list[Size], budget: int) -> None:
    plan = plan_micro_batches(sizes, 2, budget, "shared")
    homes = [{sizes[i].group for cut in rank for i in cut} for rank in plan]
    apart = plan_micro_batches(sizes, 2, budget, "packed")
    assert not homes[0] & homes[1] or [sorted(rank) for rank in plan] == [sorted(rank) for rank in apart]


def test_auto_shares_prompts_under_our_kernel_and_packs_for_flash_attention() -> None:
    def chosen(**settings: Any) -> tuple[Layout, str]:
        trainer = TrainerConfig(**settings)
        return choose_layout(trainer), choose_attention(trainer)

    assert chosen() == chosen(gradient_checkpointing=True) == chosen(layout="shared") == ("shared", "varlen")
    assert chosen(attention="flash_attention_2") == ("packed", "flash_attention_2")
    assert chosen(attention="kernels-community/flash-attn3") == ("packed", "kernels-community/flash-attn3")
    assert chosen(attention="sdpa") == chosen(layout="padded") == ("padded", "sdpa")
    assert chosen(layout="packed", attention="sdpa") == ("packed", "sdpa")
    assert chosen(layout="packed") == ("packed", "varlen")
    assert chosen(layout="padded", attention="flash_attention_2") == ("padded", "flash_attention_2")
