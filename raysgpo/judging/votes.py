"""The majority over several judgements of one response (SGPO, arXiv 2505.11595, Table 4).

A vote is a position: the 0-based index of the first wrong step, or n, the number of steps, for "no
error". A lost vote is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def majority(votes: Sequence[int | None]) -> int | None:
    """The position with the most votes; None if every vote was lost.

    A tie goes to the earliest position. If no two votes agree the median decides, of an even number
    of votes the lower one: like the tie, towards the earlier error.
    """
    kept = sorted(vote for vote in votes if vote is not None)
    if not kept:
        return None
    counts = Counter(kept)
    most = max(counts.values())
    if most == 1:
        return kept[(len(kept) - 1) // 2]
    return min(position for position, count in counts.items() if count == most)


def agreement(votes: Sequence[int | None]) -> float | None:
    """The share of the votes that came back which agree with the majority; None if fewer than two did."""
    kept = [vote for vote in votes if vote is not None]
    winner = majority(kept)
    return kept.count(winner) / len(kept) if winner is not None and len(kept) >= 2 else None
