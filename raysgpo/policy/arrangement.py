"""Where the tokens of sequences stand in a forward pass, by layout. Numpy only.

Shape legend: _P prompts, _S tokens of a shared prompt, _R rows, _L tokens of a row, _T tokens of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysgpo.policy.layout import Layout, Size, forced_length, shared_length
from raysgpo.policy.sequences import TrainSequence


@dataclass(frozen=True, slots=True)
class Arrangement:
    """All tokens of a pass: those of the prompts, and then those of the rows."""

    token_ids_RL: NDArray[np.int32]
    places: list[NDArray[np.int64]]
    """Of each sequence, [T]: the flat place of each token, in [P, S] followed by [R, L]."""
    position_ids_L: NDArray[np.int64] | None = None
    """Of every row alike; None: 0 ... L - 1, which lets kernels take their path without a mask."""
    prompt_ids_PS: NDArray[np.int32] | None = None
    """None where each row holds its whole sequence."""
    prompt_R: NDArray[np.int64] | None = None
    """Which prompt a row goes on from."""
    packed_lengths: list[int] | None = None
    """Of the sequences of a packed row, in their order."""


def arrange(sequences: Sequence[TrainSequence], layout: Layout, apart: bool | None = None) -> Arrangement:
    """``shared`` is ``padded`` where no two sequences begin alike; ``apart``: where it is, whatever they are."""
    if layout == "packed":
        return _packed(sequences)
    groups = _numbered([sequence.token_ids_T[: sequence.prompt_length].tobytes() for sequence in sequences])
    sizes = [Size(len(s), s.prompt_length, group) for s, group in zip(sequences, groups, strict=True)]
    if layout == "padded" or apart is False:
        return _rows(sequences, 0)
    return _rows(sequences, forced_length(sizes) if apart else shared_length(sizes))


def _packed(sequences: Sequence[TrainSequence]) -> Arrangement:
    lengths = [len(sequence) for sequence in sequences]
    starts = np.cumsum([0, *lengths[:-1]])
    return Arrangement(
        token_ids_RL=np.concatenate([sequence.token_ids_T for sequence in sequences])[None],
        position_ids_L=np.concatenate([np.arange(length) for length in lengths]),
        places=[start + np.arange(length) for start, length in zip(starts, lengths, strict=True)],
        packed_lengths=lengths,
    )


def _rows(sequences: Sequence[TrainSequence], shared: int) -> Arrangement:
    """A row a sequence, padded on the right; its first ``shared`` tokens stand among the prompts."""
    width = max(len(sequence) for sequence in sequences) - shared
    token_ids_RL = np.zeros((len(sequences), width), dtype=np.int32)
    for row, sequence in enumerate(sequences):
        token_ids_RL[row, : len(sequence) - shared] = sequence.token_ids_T[shared:]
    heads = [sequence.token_ids_T[:shared] for sequence in sequences]
    prompt_R = np.array(_numbered([head_S.tobytes() for head_S in heads]))
    _, firsts_P = np.unique(prompt_R, return_index=True)
    before = len(firsts_P) * shared
    places = [
        np.concatenate([prompt * shared + np.arange(shared), before + row * width + np.arange(len(sequence) - shared)])
        for row, (prompt, sequence) in enumerate(zip(prompt_R, sequences, strict=True))
    ]
    if shared == 0:
        return Arrangement(token_ids_RL, places)
    return Arrangement(
        token_ids_RL, places, shared + np.arange(width), np.stack([heads[row] for row in firsts_P]), prompt_R
    )


def _numbered(keys: Sequence[bytes]) -> list[int]:
    """The number of each key, in the order in which they first come."""
    numbers: dict[bytes, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]
