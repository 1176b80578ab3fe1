"""A step's groups as the trainer's shares: what counts, what divides it, and who gets what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.policy.layout import Layout
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.policy.shares import step_shares, update_shares, with_logprobs
from raysgpo.records import Drop, Group, Role, Rollout, Segment


def config(*words: str) -> Config:
    return resolve({}, overrides=["sampling.max_tokens=10", *words])


@pytest.fixture
def groups(make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]) -> list[Group]:
    """Lengths 2, 4 | 6, 1 and one dropped group of 9 tokens; every rollout has an advantage of its own."""
    sizes = [(2, 4), (6, 1), (9, 9)]
    made = [
        make_group(p, [make_rollout(tokens=t, advantage=p + 1 + g / 10) for g, t in enumerate(pair)])
        for p, pair in enumerate(sizes)
    ]
    return [made[0], made[1], make_group(2, made[2].rollouts_G, dropped=Drop.NO_SIGNAL)]


def sequences(shares: list[Share]) -> list[TrainSequence]:
    return [s for share in shares for batch in share.micro_batches for s in batch]


def content(sequence: TrainSequence) -> tuple[tuple[float, ...], ...]:
    """A sequence as something that can be counted."""
    arrays = (sequence.token_ids_T, sequence.loss_weight_T, sequence.advantages_T, sequence.logprobs_T)
    return tuple(tuple(array.tolist()) for array in (*arrays, sequence.sampled_T))


def test_a_sequence_is_the_rollout_with_its_stamps(groups: list[Group]) -> None:
    [share] = update_shares(7, groups[:1], config(), 1)
    assert share.update == 7 and share.num_tokens == 6
    short = min(sequences([share]), key=len)
    assert short.token_ids_T.tolist() == [1, 2, 10, 11]
    assert short.loss_weight_T.tolist() == [0, 0, 1, 1]
    assert short.sampled_T.tolist() == [False, False, True, True]
    assert short.logprobs_T.tolist() == [0, 0, -0.5, -0.5]
    np.testing.assert_allclose(short.advantages_T, [0, 0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("aggregation", "denominator", "weights"),
    [
        ("token-mean", 13, {2: 1, 4: 1, 6: 1, 1: 1}),
        ("sequence-mean", 4, {2: 1 / 2, 4: 1 / 4, 6: 1 / 6, 1: 1}),
        ("group-token-mean", 2, {2: 1 / 6, 4: 1 / 6, 6: 1 / 7, 1: 1 / 7}),
        ("constant", 40, {2: 1, 4: 1, 6: 1, 1: 1}),
    ],
)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_dropped_groups_count_nowhere_and_the_denominator_is_the_steps(
    groups: list[Group], aggregation: str, denominator: float, weights: dict[int, float], world: int
) -> None:
    shares = update_shares(0, groups, config(f"algorithm.aggregation={aggregation}"), world)
    assert len(shares) == world
    assert {share.denominator for share in shares} == {denominator}
    assert {share.num_tokens for share in shares} == {13}
    stamped = {int(s.sampled_T.sum()): s.loss_weight_T[s.sampled_T] for s in sequences(shares)}
    assert stamped.keys() == weights.keys()
    for tokens, weight in weights.items():
        np.testing.assert_allclose(stamped[tokens], weight, rtol=1e-6)


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean", "group-token-mean", "constant"])
@pytest.mark.parametrize("kl", [0.0, 0.001])
def test_under_sampled_a_group_without_a_signal_counts_and_is_computed_for_its_kl_alone(
    groups: list[Group], aggregation: str, kl: float
) -> None:
    """As if it had been kept: its advantages are 0, so what it adds to the loss is its KL penalty."""
    words = [f"algorithm.aggregation={aggregation}", f"algorithm.kl_coefficient={kl}"]
    [kept] = update_shares(0, [*groups[:2], replace(groups[2], dropped=None)], config(*words), 1)
    [sampled] = update_shares(0, groups, config(*words, "algorithm.denominator=sampled"), 1)
    assert sampled.denominator == kept.denominator > update_shares(0, groups, config(*words), 1)[0].denominator
    computed = {int(s.sampled_T.sum()): content(s) for s in sequences([sampled])}
    all_of_them = {int(s.sampled_T.sum()): content(s) for s in sequences([kept])}
    assert computed == {size: one for size, one in all_of_them.items() if kl or size != 9}


def test_a_masked_answer_weighs_nothing(groups: list[Group]) -> None:
    cut = groups[0].with_rollouts([groups[0].rollouts_G[0], replace(groups[0].rollouts_G[1], finish_reason="length")])
    [share] = update_shares(0, [cut, groups[1]], config("algorithm.mask_truncated=true"), 1)
    assert share.denominator == 13 - 4
    assert {int(s.sampled_T.sum()): float(s.loss_weight_T.sum()) for s in sequences([share])}[4] == 0
    all_cut = cut.with_rollouts([replace(r, finish_reason="length") for r in cut.rollouts_G])
    assert update_shares(0, [all_cut], config("algorithm.mask_truncated=true"), 1)[0].num_tokens == 0


@pytest.mark.parametrize("drop", [drop for drop in Drop if drop is not Drop.NO_SIGNAL])
def test_what_failed_or_was_filtered_out_is_no_part_of_the_step(groups: list[Group], drop: Drop) -> None:
    settings = config("algorithm.denominator=sampled", "algorithm.kl_coefficient=0.001")
    [share] = update_shares(0, [*groups[:2], replace(groups[2], dropped=drop)], settings, 1)
    assert (share.denominator, share.num_tokens) == (13, 13)


@pytest.mark.parametrize("denominator", ["trained", "sampled"])
@pytest.mark.parametrize("world", [1, 2])
def test_the_groups_that_count_are_divided_over_the_updates_of_a_step(
    make_group: Callable[..., Group], make_rollout: Callable[..., Rollout], denominator: str, world: int
) -> None:
    """Groups of 1 ... 7 tokens, two of them without a signal: 3, 2, 2 or 2, 2, 1, each with what divides it."""
    drops = {2: Drop.NO_SIGNAL, 6: Drop.NO_SIGNAL}
    groups = [make_group(n, [make_rollout(tokens=n, advantage=1.0)], dropped=drops.get(n)) for n in range(1, 8)]
    settings = config(f"algorithm.denominator={denominator}", "optimizer.updates_per_step=3")
    updates = step_shares(5, groups, settings, world)
    assert [{share.update for share in update} for update in updates] == [{15}, {16}, {17}]
    lengths = [sorted(int(s.sampled_T.sum()) for s in sequences(update)) for update in updates]
    counted = {"trained": [[1, 3], [4, 5], [7]], "sampled": [[1, 2, 3], [4, 5], [6, 7]]}[denominator]
    assert lengths == [[n for n in part if n not in drops] for part in counted]
    assert [{share.denominator for share in update} for update in updates] == [{sum(part)} for part in counted]
    assert [{share.num_tokens for share in update} for update in updates] == [{sum(part)} for part in lengths]


def test_fewer_groups_than_updates_leave_the_last_of_them_out(groups: list[Group]) -> None:
    updates = step_shares(0, groups, config("optimizer.updates_per_step=4"), 1)
    assert [share.num_tokens for [share] in updates] == [6, 7, 0, 0]


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("world", [2, 3, 5])
def test_any_number_of_ranks_carries_the_same_sequences(groups: list[Group], layout: Layout, world: int) -> None:
    settings = config(f"trainer.layout={layout}", "trainer.tokens_per_micro_batch=8")
    one, many = update_shares(0, groups, settings, 1), update_shares(0, groups, settings, world)
    assert Counter(map(content, sequences(one))) == Counter(map(content, sequences(many)))
    assert len({len(share.micro_batches) for share in many}) == 1


def test_asking_twice_gives_the_same_shares(groups: list[Group]) -> None:
    first, again = (update_shares(0, groups, config(), 2) for _ in range(2))
    assert [content(s) for s in sequences(first)] == [content(s) for s in sequences(again)]


def test_a_step_without_a_signal_says_so_to_every_rank(groups: list[Group]) -> None:
    shares = update_shares(3, groups[2:], config(), 2)
    assert [(share.update, share.num_tokens, sequences([share])) for share in shares] == [(3, 0, []), (3, 0, [])]


def test_guidance_is_neither_sampled_nor_counted(
    make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]
) -> None:
    plain = make_rollout(tokens=2, advantage=1.0)
    guided = make_rollout(segments=(plain.segments[0], Segment.given(Role.GUIDANCE, [8, 9]), plain.segments[1]))
    [share] = update_shares(0, [make_group(0, [guided])], config(), 1)
    [sequence] = sequences([share])
    assert sequence.sampled_T.tolist() == [False] * 4 + [True] * 2
    assert sequence.loss_weight_T.tolist() == [0, 0, 0, 0, 1, 1] and share.num_tokens == share.denominator == 2


def test_each_step_carries_its_own_advantage_on_its_tokens_and_what_was_given_carries_none(
    make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]
) -> None:
    """Three steps of 1, 0 and 2 tokens behind guidance that bears loss; the other answer has one for all of them."""
    prompt, answer = make_rollout(tokens=3).segments
    guidance = Segment.given(Role.GUIDANCE, [8, 9], 0.5)
    stamps = {"advantage": -0.3, "step_tokens": (1, 0, 2), "step_advantages": (0.25, 7.0, -0.55)}
    told = make_rollout(segments=(prompt, guidance, answer), **stamps)
    plain = make_rollout(tokens=3, advantage=0.1, step_tokens=(1, 0, 2))
    [share] = update_shares(0, [make_group(0, [told, plain])], config(), 1)
    short, long = sorted(sequences([share]), key=len)
    assert long.advantages_T.tolist() == np.array([0, 0, 0, 0, 0.25, -0.55, -0.55], dtype=np.float32).tolist()
    assert short.advantages_T.tolist() == np.array([0, 0, 0.1, 0.1, 0.1], dtype=np.float32).tolist()
    assert share.denominator == 7, "the tokens that a step leaves at 0 count all the same"
    [masked] = update_shares(
        0, [make_group(0, [replace(told, finish_reason="length")])], config("algorithm.mask_truncated=true"), 1
    )
    assert masked.num_tokens == 0


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("world", [1, 2, 5])
def test_logprobs_that_the_ranks_worked_out_find_their_tokens(groups: list[Group], layout: Layout, world: int) -> None:
    """Each sequence's logprobs are made from its advantage, which no other has; only completions take them."""
    settings = config(f"trainer.layout={layout}", "trainer.tokens_per_micro_batch=8")
    shares = update_shares(0, groups[:2], settings, world)
    said = [
        [
            [s.advantages_T.max() * np.arange(1, len(s) + 1, dtype=np.float32) for s in batch]
            for batch in share.micro_batches
        ]
        for share in shares
    ]
    for group, before in zip(with_logprobs(groups[:2], settings, said), groups, strict=False):
        for rollout, old in zip(group.rollouts_G, before.rollouts_G, strict=True):
            prompt, answer = rollout.segments
            assert prompt is old.segments[0]
            np.testing.assert_array_equal(answer.token_ids_T, old.segments[1].token_ids_T)
            wanted = np.float32(old.advantage) * np.arange(3, 3 + len(answer.token_ids_T), dtype=np.float32)
            np.testing.assert_allclose(answer.logprobs_T, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("weight", "aggregation", "denominator", "given", "own"),
    [
        (1.0, "token-mean", 6, 1, 1),
        (0.5, "token-mean", 5, 0.5, 1),
        (1.0, "sequence-mean", 2, 1 / 4, 1 / 4),
        (0.5, "sequence-mean", 2, 0.5 / 3, 1 / 3),
        (1.0, "group-token-mean", 1, 1 / 6, 1 / 6),
        (1.0, "constant", 20, 1, 1),
    ],
)
def test_weighted_guidance_counts_in_the_loss_and_its_denominator_alone(
    make_group: Callable[..., Group],
    make_rollout: Callable[..., Rollout],
    weight: float,
    aggregation: str,
    denominator: float,
    given: float,
    own: float,
) -> None:
    free = make_rollout(tokens=2, advantage=-1.0)
    prompt, answer = free.segments
    guidance = Segment.given(Role.GUIDANCE, [8, 9], weight)
    guided = make_rollout(segments=(prompt, guidance, answer), advantage=1.0)
    [share] = update_shares(0, [make_group(0, [guided, free])], config(f"algorithm.aggregation={aggregation}"), 1)
    assert share.denominator == denominator and share.num_tokens == 4
    long = max(sequences([share]), key=len)
    np.testing.assert_allclose(long.loss_weight_T, [0, 0, given, given, own, own], rtol=1e-6)
    assert long.sampled_T.tolist() == [False] * 4 + [True] * 2
    assert long.advantages_T.tolist() == [0, 0, 1, 1, 1, 1]
    assert long.token_ids_T.tolist() == [1, 2, 8, 9, 10, 11], "no padding within"
