"""How sequences stand in a forward pass, and how many tokens it then computes. Pure Python, no tensors.

- ``shared``: one row without padding, in which the prompt of a group stands once, before its answers::

      [prompt a][answer a1][answer a2]...[prompt b][answer b1]...

  Each answer attends to its prompt and to itself (Prefix Grouper, arXiv 2506.05433, section 3).
- ``packed``: one row, sequence after sequence, each with a prompt of its own.
- ``padded``: one row a sequence, as wide as the longest, for attention that knows nothing else.
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
    """``auto`` shares prompts under ``varlen``, and packs for flash attention's own kernels.

    Any other kernel computes the whole square of a packed row: on CPU with sdpa, 128 sequences took 1.57 s packed to
    1,024 tokens and 0.56 s as length-sorted padded rows.
    """
    if trainer.layout != "auto":
        return trainer.layout
    attention = trainer.attention or VARLEN
    if attention == VARLEN:
        return "shared"
    return "packed" if "flash" in attention else "padded"


def choose_attention(trainer: TrainerConfig) -> str:
    """The kernel of the layout, where none is named."""
    return trainer.attention or ("sdpa" if choose_layout(trainer) == "padded" else VARLEN)


def cost_of(sizes: Sequence[Size], layout: Layout, parity: int | None) -> float:
    """What a forward pass over these sequences computes, in tokens that attend to nothing; padding included.

    A sequence of L tokens costs L + L^2 / parity: causal attention is L (L + 1) / 2 products of a query and a key, and
    a sequence of ``parity`` tokens spends as much on it as on all else. None: attention costs nothing.
    """
    tokens = tokens_of(sizes, layout)
    if parity is None or not sizes:
        return tokens
    if layout == "padded":
        return tokens + len(sizes) * max(size.length for size in sizes) ** 2 / parity
    squares = sum(size.length**2 for size in sizes)
    if layout == "shared":
        squares -= sum(size.prompt**2 for size in sizes) - sum(prompt**2 for prompt in _prompts(sizes))
    return tokens + squares / parity


def tokens_of(sizes: Sequence[Size], layout: Layout) -> int:
    """Tokens that a forward pass over these sequences computes, padding included."""
    if not sizes:
        return 0
    if layout == "padded":
        return len(sizes) * max(size.length for size in sizes)
    tokens = sum(size.length for size in sizes)
    if layout == "shared":
        tokens -= sum(size.prompt for size in sizes) - sum(_prompts(sizes))
    return tokens


def _prompts(sizes: Sequence[Size]) -> list[int]:
    """Tokens of each group's prompt."""
    return list({size.group: size.prompt for size in sizes}.values())
