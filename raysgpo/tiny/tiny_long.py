"""The tiny policy for long chains: it can do every step, and too seldom all of them.

Taught as the tiny policy is, on chains of up to eight terms, and left as it is after few slips: it keeps its
arithmetic, each step goes wrong by chance, and seven right ones in a row hardly ever happen. Its slips are large, so
that two of them seldom cancel and an answer is seldom right by luck.
"""

from __future__ import annotations

from pydantic import Field

from raysgpo.tiny.tiny_policy import TinyConfig

ALL_LENGTHS = (2, 3, 4, 5, 6, 7, 8)


class TinyLongConfig(TinyConfig):
    """Settings of the tiny policy for long chains; the defaults are the policy of ``model=tiny_long``."""

    batch_size: int = Field(32, ge=1)
    clean_terms: tuple[int, ...] = ALL_LENGTHS
    clean_steps: int = Field(1000, ge=0)
    slip_terms: tuple[int, ...] = ALL_LENGTHS[1:]
    slip_lr: float = Field(2e-4, gt=0)
    slip_chance: float = Field(0.5, ge=0, le=1)
    slip_size: int = Field(30, ge=1)
