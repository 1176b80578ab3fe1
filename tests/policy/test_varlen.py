"""Attention over a packed row: each segment as if it stood alone behind its prompt, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from raysgpo.policy.packing import Packing
from raysgpo.policy.segments import CALL_PAIRS, PADDING, Segment, borders, bucketed
from raysgpo.policy.varlen import varlen_attention

HEADS, KEY_HEADS, SIZE = 4, 2, 8


def row(groups: list[tuple[int, list[int]]]) -> list[Segment]:
    """Of each group a prompt, and so many answers behind it; a prompt of 0 tokens: sequences of their own."""
    segments: list[Segment] = []

    def add(length: int, behind: Segment | None = None) -> Segment:
        segments.append(Segment(segments[-1].end if segments else 0, length, behind))
        return segments[-1]

    for prompt, answers in groups:
        head = add(prompt) if prompt else None
        for answer in answers:
            add(answer, head)
    return segments


ROWS = st.lists(
    st.tuples(st.integers(0, 40), st.lists(st.integers(1, 30), min_size=1, max_size=5)), min_size=1, max_size=4
).map(row)


def by_definition(query: Tensor, key: Tensor, value: Tensor, segments: list[Segment], window: int | None) -> Tensor:
    """Token by token, in the whole square of the row."""
    visible = torch.zeros(query.shape[2], query.shape[2], dtype=torch.bool)
    for segment in segments:
        seen = [*([] if segment.behind is None else segment.behind.places), *segment.places]
        for place in segment.places:
            upto = seen[: seen.index(place) + 1]
            visible[place, upto if window is None else upto[-window:]] = True
    key, value = (tensor.repeat_interleave(HEADS // KEY_HEADS, dim=1) for tensor in (key, value))
    return scaled_dot_product_attention(query, key, value, attn_mask=visible).transpose(1, 2)


@given(ROWS, st.one_of(st.none(), st.integers(1, 50)), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_each_token_sees_its_prompt_and_what_is_before_it(
    segments: list[Segment], window: int | None, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    query, key, value = (
        torch.randn(1, heads, segments[-1].end, SIZE, generator=draw, dtype=torch.float64).requires_grad_()
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    )
    weight = torch.randn(1, segments[-1].end, HEADS, SIZE, generator=draw, dtype=torch.float64)
    packing, found = Packing.of(segments, torch.device("cpu")), []
    ours, _ = varlen_attention(nn.Module(), query, key, value, None, sliding_window=window, packing=packing)
    for attended in (ours, by_definition(query, key, value, segments, window)):
        found.append([attended, *torch.autograd.grad((attended * weight).sum(), (query, key, value))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [None, 3])
def test_rows_that_are_sequences_are_segments_of_their_own(window: int | None) -> None:
    draw = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(3, n, 7, SIZE, generator=draw) for n in (HEADS, KEY_HEADS, KEY_HEADS))
    rows, _ = varlen_attention(nn.Module(), query, key, value, None, sliding_window=window)
    for at in range(3):
        q, k, v = (tensor[at : at + 1] for tensor in (query, key, value))
        packing = Packing.of([Segment(0, 7)], torch.device("cpu"))
        alone, _ = varlen_attention(nn.Module(), q, k, v, None, sliding_window=window, packing=packing)
        torch.testing.assert_close(rows[at : at + 1], alone)


def test_a_hand_worked_row() -> None:
    prompt = Segment(0, 2)
    packing = Packing.of([prompt, Segment(2, 1, prompt), Segment(3, 2, prompt)], torch.device("cpu"))
    assert packing.cumulative.tolist() == [0, 2, 3, 5]
    assert packing.cumulative_keys.tolist() == [0, 2, 5, 9]
    assert packing.keys_K is not None
    assert packing.keys_K.tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4]
    assert packing.for_kernels()["max_length_q"] == 2 and packing.for_kernels()["max_length_k"] == 4
    assert Packing.of([prompt, Segment(2, 3)], torch.device("cpu")).keys_K is None, "as they stand"
    buckets = packing.buckets
    [bucket] = buckets.buckets
    assert (bucket.rows, bucket.queries, bucket.keys, bucket.causal) == (3, 2, 4, False)
    assert buckets.queries_Q.reshape(3, 2).tolist() == [[3, 4], [2, 2], [0, 1]]
    assert buckets.keys_K.reshape(3, 4).tolist() == [[0, 1, 3, 4], [0, 1, 2, 0], [0, 1, 0, 0]]
    assert buckets.answers_A.tolist() == [4, 5, 2, 0, 1]
    assert bucket.visible().astype(int).tolist() == [
        [[1, 1, 1, 0], [1, 1, 1, 1]],
        [[1, 1, 1, 0], [1, 1, 1, 1]],  # its second query and fourth key are padding
        [[1, 0, 0, 0], [1, 1, 0, 0]],
    ]


@given(ROWS)
def test_padding_attention_costs_less_than_the_calls_it_spares(segments: list[Segment]) -> None:
    needed = sum(segment.length * segment.keys for segment in segments)
    buckets = bucketed(segments)
    padded = sum(bucket.rows * bucket.queries * bucket.keys for bucket in buckets.buckets)
    assert padded - needed <= len(buckets.buckets) * CALL_PAIRS + needed / PADDING
    assert len(buckets.keys_K) == sum(bucket.rows * bucket.keys for bucket in buckets.buckets)
    assert np.array_equal(buckets.queries_Q[buckets.answers_A], np.arange(segments[-1].end))


def test_long_and_short_segments_are_apart() -> None:
    assert len(bucketed(row([(0, [1000, 990, 30, 29, 4])])).buckets) == 2


def test_borders_are_where_the_next_begins() -> None:
    assert borders([3, 1, 2]).tolist() == [0, 3, 4, 6]
