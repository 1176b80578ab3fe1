"""Are the scorer's logprobs the model's own? Asked once, of a few tokens, when a policy has been loaded.

In the layout that it trains in: what is more than attention to its prompt and itself would see its neighbours in a row.

The scorer multiplies the last hidden states with the head, chunk by chunk. Whatever else an architecture does to its
logits (a cap, a multiplier, a bias) it would leave out, and train on logprobs of another distribution without a word.

Shape legend: _R rows, _L tokens of a row, _N compared (place, token) pairs, _V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from raysgpo.policy.batch import ScorerInput
from raysgpo.policy.layout import Layout
from raysgpo.policy.model import TokenScorer, reshard
from raysgpo.policy.packing import Packing
from raysgpo.policy.segments import Segment

TOKENS = 8
"""Length of a row: enough for attention, and seconds for the largest model."""
PROMPT = TOKENS // 2
"""How many of them both rows begin with."""
TARGETS = 32
"""Tokens whose logprobs are compared at each place, spread over the vocabulary."""
LARGEST = 64.0
"""The logits are scaled so that this is their largest: a cap shows at large ones only, and a random model has none."""
TOLERANCE = 0.01
"""Nats. Rounding stays far below, and what is no rounding lies far above."""
GPU_BFLOAT16_TOLERANCE = 0.5
"""The same where a kernel may round the head's logits otherwise for more rows: two steps of bfloat16 at ``LARGEST``."""
GPU_BFLOAT16_SHARE = 0.5
"""Of the spread of the logprobs, where another kernel for attention rounds otherwise in every layer: measured 0.1 with
28 layers; sequences that see one another are 4 apart."""


@torch.no_grad()
def check_scorer(model_path: str, scorer: TokenScorer, layout: Layout, dtype: str) -> None:
    """Return if both agree; the scorer comes back as it was. ``dtype``: what it computes in. Collective.

    Raises:
        ValueError: they do not, or the model has no head.
    """
    causal = scorer.causal
    head = causal.get_output_embeddings()
    if head is None:
        raise ValueError(f"model={model_path}: it has no output head over tokens: choose a causal language model")
    device, vocabulary = head.weight.device, len(head.weight)
    ids_RL = _two_rows(vocabulary, device)
    targets_N = _spread(TARGETS, vocabulary, device).repeat(ids_RL.numel())
    with _scaled(head) as scale:
        logits_RLV = scorer.own_logits(ids_RL).float()
        own_N = torch.log_softmax(logits_RLV.flatten(0, 1), dim=-1).gather(1, targets_N.view(-1, TARGETS)).flatten()
    # Dividing by a temperature is what multiplies the scorer's logits.
    with _at_temperature(scorer, 1 / (scale[0] if scale else 1.0)):
        gap = _gap(scorer, _padded(ids_RL, targets_N), own_N)
        packed_gap = 0.0 if layout == "padded" else _gap(scorer, _packed(ids_RL, targets_N, layout), own_N)
    reshard(scorer)
    rough = device.type == "cuda" and dtype == "bfloat16"
    tolerance = GPU_BFLOAT16_TOLERANCE if rough else TOLERANCE
    if not gap <= tolerance:
        raise ValueError(
            f"model={model_path}: its own logprobs and those that the trainer works out from its head differ by up to "
            f"{gap:.3g} nats: {type(causal).__name__} changes its logits in a way that the trainer does not know. "
            "Choose a model of another architecture"
        )
    if not packed_gap <= max(tolerance, GPU_BFLOAT16_SHARE * float(own_N.std()) if rough else 0.0):
        raise ValueError(
            f"model={model_path}: the sequences of a row without padding are not kept apart: by up to {packed_gap:.3g} "
            f"nats: {type(causal).__name__} has more than attention between tokens: set trainer.layout=padded"
        )


def _gap(scorer: TokenScorer, inputs: ScorerInput, own_N: Tensor) -> float:
    ours_N, _ = scorer(inputs)
    return float((ours_N - own_N).abs().max())


def _two_rows(vocabulary: int, device: torch.device) -> Tensor:
    """That begin alike."""
    row_L = _spread(TOKENS, vocabulary, device)
    return torch.stack([row_L, torch.cat([row_L[:PROMPT], row_L[PROMPT:].flip(0)])])


def _padded(ids_RL: Tensor, targets_N: Tensor) -> ScorerInput:
    places_A = torch.arange(ids_RL.numel(), device=ids_RL.device)
    return ScorerInput(ids_RL, None, places_A.repeat_interleave(TARGETS), targets_N)


def _packed(ids_RL: Tensor, targets_N: Tensor, layout: Layout) -> ScorerInput:
    """One after the other; shared, their prompt stands there once."""
    first, device = Segment(0, TOKENS), ids_RL.device
    places, segments = torch.arange(ids_RL.numel(), device=device), [first, Segment(TOKENS, TOKENS)]
    if layout == "shared":
        prompt = Segment(0, PROMPT)
        segments = [prompt, Segment(PROMPT, PROMPT, prompt), Segment(TOKENS, PROMPT, prompt)]
        places = torch.cat([places[:TOKENS], places[:PROMPT], places[TOKENS : TOKENS + PROMPT]])
    length = segments[-1].end
    row_A, positions_A = (torch.empty(length, dtype=torch.int64, device=device) for _ in range(2))
    row_A[places], positions_A[places] = ids_RL.flatten(), torch.arange(TOKENS, device=device).repeat(len(ids_RL))
    return ScorerInput(
        row_A[None], positions_A[None], places.repeat_interleave(TARGETS), targets_N, Packing.of(segments, device)
    )


def _spread(count: int, size: int, device: torch.device) -> Tensor:
    """``count`` numbers below ``size``, over all of them."""
    return torch.linspace(0, size - 1, count, dtype=torch.float64).long().to(device)


@contextmanager
def _scaled(head: torch.nn.Module) -> Iterator[list[float]]:
    """What the head gives the model is scaled to ``LARGEST``; the factor is there once it has been called."""
    scale: list[float] = []

    def enlarge(_: Any, __: Any, logits: Tensor) -> Tensor:
        if not scale:
            scale.append(LARGEST / max(logits.abs().max().item(), torch.finfo(torch.float32).tiny))
        return logits.float() * scale[0]  # rounded once, by the head, as what the scorer scales

    hook = head.register_forward_hook(enlarge)
    try:
        yield scale
    finally:
        hook.remove()


@contextmanager
def _at_temperature(scorer: TokenScorer, temperature: float) -> Iterator[None]:
    own, scorer.temperature = scorer.temperature, temperature
    try:
        yield
    finally:
        scorer.temperature = own
