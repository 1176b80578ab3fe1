"""Two layouts, one meaning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.policy.batch import lay_out
from raysgpo.policy.layout import Layout
from raysgpo.policy.sequences import Share, TrainSequence

CPU = torch.device("cpu")


def sequence(length: int, prompt: int, seed: int = 0) -> TrainSequence:
    draw = np.random.default_rng([seed, length, prompt])
    sampled_T = np.arange(length) >= prompt
    values = [np.where(sampled_T, draw.normal(size=length), 9).astype(np.float32) for _ in range(2)]
    return TrainSequence(
        token_ids_T=draw.integers(1, 100, length).astype(np.int32),
        loss_weight_T=sampled_T.astype(np.float32),
        advantages_T=values[0],
        logprobs_T=values[1],
        sampled_T=sampled_T,
    )


SEQUENCES = st.lists(
    st.tuples(st.integers(2, 12), st.integers(1, 11), st.integers(0, 9)).filter(lambda t: t[1] < t[0]),
    min_size=1,
    max_size=6,
).map(lambda shapes: [sequence(*shape) for shape in shapes])


@given(SEQUENCES, st.sampled_from(["padded", "packed"]))
def test_every_scored_token_stands_right_after_the_place_that_predicts_it(
    sequences: list[TrainSequence], layout: Layout
) -> None:
    inputs = lay_out(sequences, layout, CPU).inputs
    flat = inputs.token_ids_RL.flatten()
    assert torch.equal(flat[inputs.predict_N + 1], inputs.targets_N)
    before = np.concatenate([s.token_ids_T[:-1][s.scored_T[1:]] for s in sequences])
    assert flat[inputs.predict_N].tolist() == before.tolist()


@given(SEQUENCES)
def test_what_the_loss_reads_is_the_same_in_both_layouts(sequences: list[TrainSequence]) -> None:
    padded, packed = (lay_out(sequences, layout, CPU) for layout in ("padded", "packed"))
    assert torch.equal(padded.inputs.targets_N, packed.inputs.targets_N)
    for name in ("loss_weight_N", "advantages_N", "sampler_logprobs_N", "sampled_N"):
        assert torch.equal(getattr(padded, name), getattr(packed, name))


@given(SEQUENCES)
def test_packing_restarts_positions_and_pads_nothing(sequences: list[TrainSequence]) -> None:
    batch = lay_out(sequences, "packed", CPU).inputs
    assert batch.token_ids_RL.tolist() == [[int(t) for s in sequences for t in s.token_ids_T]]
    assert batch.position_ids_RL is not None
    assert batch.position_ids_RL.tolist() == [[i for s in sequences for i in range(len(s))]]


@given(SEQUENCES)
def test_padding_stands_behind_the_tokens(sequences: list[TrainSequence]) -> None:
    rows = lay_out(sequences, "padded", CPU).inputs.token_ids_RL
    longest = max(len(s) for s in sequences)
    for row, s in zip(rows.tolist(), sequences, strict=True):
        assert row == s.token_ids_T.tolist() + [0] * (longest - len(s))


def test_the_sampler_is_not_asked_about_tokens_it_did_not_draw() -> None:
    guided = TrainSequence(
        token_ids_T=np.array([5, 6, 7, 8], dtype=np.int32),
        loss_weight_T=np.array([0, 0, 0.5, 1], dtype=np.float32),
        advantages_T=np.ones(4, dtype=np.float32),
        logprobs_T=np.array([np.nan, np.nan, np.nan, -2], dtype=np.float32),
        sampled_T=np.array([False, False, False, True]),
    )
    batch = lay_out([guided], "padded", CPU)
    assert batch.inputs.targets_N.tolist() == [7, 8]
    assert batch.sampled_N.tolist() == [False, True]
    assert batch.sampler_logprobs_N.tolist() == [0, -2]
    assert batch.loss_weight_N.tolist() == [0.5, 1]


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("sequences", [[], [TrainSequence.filler()]])
def test_a_batch_without_scored_tokens_scores_one_that_weighs_nothing(
    layout: Layout, sequences: list[TrainSequence]
) -> None:
    batch = lay_out(sequences, layout, CPU)
    assert batch.loss_weight_N.tolist() == [0]
    assert batch.sampled_N.tolist() == [False]


def test_a_first_token_with_loss_is_refused_and_so_are_arrays_of_two_lengths() -> None:
    one, two = np.ones(1, dtype=np.float32), np.ones(2, dtype=np.float32)
    no, ids = np.zeros(2, dtype=np.bool_), np.ones(2, dtype=np.int32)
    with pytest.raises(AssertionError, match="first token"):
        TrainSequence(ids, two, two, two, no)
    with pytest.raises(AssertionError, match="one length"):
        TrainSequence(ids, one, two, two, no)


def test_a_share_needs_a_pass_and_a_positive_denominator() -> None:
    with pytest.raises(AssertionError, match="micro-batch"):
        Share(0, [], 1.0, 1)
    with pytest.raises(AssertionError, match="denominator"):
        Share(0, [[]], 0.0, 0)
