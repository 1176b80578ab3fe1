"""Only what has changed: positions and new values of the numbers of a tensor that differ from the version before.

After an update with a small learning rate most numbers in bfloat16 are the same bits. Both sides have the version
before: the sender in the memory that it is about to write over, each receiver in a copy that it keeps. Nothing is
rounded or left out, so the result is the new version bit for bit, which its checksum says.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

POSITION = np.dtype(np.uint32)
_WORDS: dict[int, tuple[type[np.unsignedinteger], torch.dtype]] = {
    1: (np.uint8, torch.uint8),
    2: (np.uint16, torch.int16),
    4: (np.uint32, torch.int32),
    8: (np.uint64, torch.int64),
}
"""Bytes of a number to types that compare and copy its bits: a NaN is not equal to itself, and zero has two signs."""


def changes(old: NDArray[np.uint8], new: NDArray[np.uint8], width: int) -> NDArray[np.uint8] | None:
    """Positions (uint32) and, behind them, new values of what differs; None where that is no less than the whole.

    ``width``: bytes of a number.
    """
    word, _ = _WORDS[width]
    before, after = old.view(word), new.view(word)
    positions = np.flatnonzero(before != after)
    if len(positions) * (POSITION.itemsize + width) >= new.nbytes or len(after) > np.iinfo(POSITION).max:
        return None
    values = after[positions]
    return np.concatenate([positions.astype(POSITION).view(np.uint8), values.view(np.uint8)])


def apply(base: torch.Tensor, changed: torch.Tensor) -> None:
    """Bring ``base`` to the version of ``changed``, the bytes that ``changes`` gave, in place."""
    width = base.element_size()
    _, word = _WORDS[width]
    count = changed.numel() // (POSITION.itemsize + width)
    if not count:
        return
    # Cloned: a view as wider numbers must begin at a multiple of their size.
    positions = changed[: count * POSITION.itemsize].clone().view(torch.int32).long() & 0xFFFFFFFF
    values = changed[count * POSITION.itemsize :].clone().view(word)
    base.reshape(-1).view(word)[positions] = values
