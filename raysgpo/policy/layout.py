"""How sequences stand in a forward pass, and how many tokens it then computes. Pure Python, no tensors.

- ``padded``: one row a sequence, as wide as the longest.
- ``shared``: the prompt of a group is computed once, and each row holds only what follows it::

      P prompts of S tokens  ->  keys and values, S a group  ->  R rows of the tokens behind S, padded

  S is the shortest prompt of the pass; what another prompt has beyond it stands in that group's rows.
- ``packed``: one row, sequence after sequence, for kernels that keep them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from raysgpo.config import TrainerConfig
from raysgpo.config.trainer import VARLEN

Layout = Literal["shared", "padded", "packed"]


class Size(NamedTuple):
    """What a plan needs to know of a sequence."""

    length: int
    """Tokens, prompt included."""
    prompt: int = 0
    """Its leading tokens that all sequences of its group have."""
    group: int = 0
    """Which group; read only where ``prompt`` is not 0."""


def choose_layout(trainer: TrainerConfig) -> Layout:
    """``auto`` packs for variable-length attention kernels (varlen, flash), and shares prompts for the others.

    A dense kernel computes the whole square of a packed row: on CPU with sdpa, 128 sequences took 1.57 s packed to
    1,024 tokens and 0.56 s as length-sorted padded rows. Gradient checkpointing keeps no keys and values from one
    forward pass to the next, so under it each answer has a prompt of its own.
    """
    if trainer.layout != "auto":
        return trainer.layout
    attention = trainer.attention or ""
    if "flash" in attention or attention == VARLEN:
        return "packed"
    return "padded" if trainer.gradient_checkpointing else "shared"


def shared_length(sizes: Sequence[Size]) -> int:
    """S, the leading tokens that a ``shared`` pass computes once a group; 0 where nothing would be saved."""
    if len(sizes) == len({size.group for size in sizes}):
        return 0
    return _common(sizes)


def forced_length(sizes: Sequence[Size]) -> int:
    """S of a pass that computes prompts apart whether or not it saves anything, because another rank's does.

    At least 1: the first token of a sequence is given, whatever it says of its prompt.
    """
    return max(1, _common(sizes))


def _common(sizes: Sequence[Size]) -> int:
    """Leading tokens that every row can leave to a prompt, and keep one of its own."""
    return min(min(size.prompt, size.length - 1) for size in sizes)


def cost_of(sizes: Sequence[Size], layout: Layout, parity: int | None) -> float:
    """What a forward pass over these sequences computes, in tokens that attend to nothing; padding included.

    A sequence of L tokens costs L + L^2 / parity: causal attention is L (L + 1) / 2 products of a query and a key, and
    a sequence of ``parity`` tokens spends as much on it as on all else. None: attention costs nothing.
    """
    tokens = tokens_of(sizes, layout)
    if parity is None or not sizes:
        return tokens
    if layout == "packed":
        return tokens + sum(size.length**2 for size in sizes) / parity
    widest = max(size.length for size in sizes)
    shared = shared_length(sizes) if layout == "shared" else 0
    prompts = len({size.group for size in sizes}) if shared else 0
    return tokens + (prompts * shared**2 + len(sizes) * (widest**2 - shared**2)) / parity


def tokens_of(sizes: Sequence[Size], layout: Layout) -> int:
    """Tokens that a forward pass over these sequences computes, padding included."""
    if not sizes:
        return 0
    if layout == "packed":
        return sum(size.length for size in sizes)
    shared = shared_length(sizes) if layout == "shared" else 0
    prompts = len({size.group for size in sizes}) if shared else 0
    return prompts * shared + len(sizes) * (max(size.length for size in sizes) - shared)
