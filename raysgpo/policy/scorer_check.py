"""Are the scorer's logprobs the model's own? Asked once, of a few tokens, when a policy has been loaded.

Also behind a prompt that is computed once, where that is how it trains: what keeps no cache of keys and values would
answer as if there were no prompt.

The scorer multiplies the last hidden states with the head, chunk by chunk. Whatever else an architecture does to its
logits (a cap, a multiplier, a bias) it would leave out, and train on logprobs of another distribution without a word.

Shape legend: _R rows (one), _L tokens of a row, _N compared (place, token) pairs, _V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from raysgpo.policy.batch import ScorerInput, SharedPrompts
from raysgpo.policy.layout import Layout
from raysgpo.policy.model import TokenScorer

TOKENS = 8
"""Length of the row: enough for attention, and seconds for the largest model."""
TARGETS = 32
"""Tokens whose logprobs are compared at each place, spread over the vocabulary."""
LARGEST = 64.0
"""The logits are scaled so that this is their largest: a cap shows at large ones only, and a random model has none."""
TOLERANCE = 0.01
"""Nats. Rounding stays far below, and what is no rounding lies far above."""
GPU_BFLOAT16_TOLERANCE = 0.5
"""The same where a kernel may round the head's logits otherwise for more rows: two steps of bfloat16 at ``LARGEST``."""


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
    ids_RL = _spread(TOKENS, vocabulary, device)[None]
    predict_N = torch.arange(TOKENS, device=device).repeat_interleave(TARGETS)
    targets_N = _spread(TARGETS, vocabulary, device).repeat(TOKENS)
    with _scaled(head) as scale:
        logits_LV = scorer.own_logits(ids_RL)[0].float()
        own_N = torch.log_softmax(logits_LV, dim=-1)[predict_N, targets_N]
    # Dividing by a temperature is what multiplies the scorer's logits.
    with _at_temperature(scorer, 1 / (scale[0] if scale else 1.0)):
        whole = ScorerInput(None, ids_RL, None, predict_N, targets_N)
        gap = _largest_gap(scorer, whole, own_N)
        shared_gap = _largest_gap(scorer, _behind_prompt(whole), own_N) if layout == "shared" else 0.0
    if isinstance(scorer, FSDPModule):
        scorer.reshard()  # After a forward pass alone its parameters are still whole.
    rough = device.type == "cuda" and dtype == "bfloat16"
    tolerance = GPU_BFLOAT16_TOLERANCE if rough else TOLERANCE
    if not gap <= tolerance:
        raise ValueError(
            f"model={model_path}: its own logprobs and those that the trainer works out from its head differ by up to "
            f"{gap:.3g} nats: {type(causal).__name__} changes its logits in a way that the trainer does not know. "
            "Choose a model of another architecture"
        )
    if not shared_gap <= tolerance:
        raise ValueError(
            f"model={model_path}: {type(causal).__name__} keeps no cache of keys and values, so an answer cannot go on "
            "from a prompt that was computed once for its group: set trainer.layout=padded"
        )


def _largest_gap(scorer: TokenScorer, inputs: ScorerInput, own_N: Tensor) -> float:
    """Infinite for a model that cannot be called so."""
    try:
        ours_N, _ = scorer(inputs)
    except Exception:  # of any kind: the model's own code meets a cache that it does not know
        if inputs.prompts is None:
            raise
        return math.inf
    return float((ours_N - own_N).abs().max())


def _behind_prompt(whole: ScorerInput) -> ScorerInput:
    """The same, with the first half of the row as a prompt of its own."""
    head = TOKENS // 2
    ids_RL = whole.token_ids_RL
    prompts = SharedPrompts(ids_RL[:, :head], torch.zeros(1, dtype=torch.int64, device=ids_RL.device))
    return replace(
        whole,
        prompts=prompts,
        token_ids_RL=ids_RL[:, head:],
        position_ids_RL=torch.arange(head, TOKENS, device=ids_RL.device)[None],
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
