"""Where the tokens of sequences stand in a forward pass, by layout. Numpy only.

Shape legend: _R rows, _L tokens of a row, _T tokens of a sequence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysgpo.policy.layout import Layout
from raysgpo.policy.segments import Segment
from raysgpo.policy.sequences import TrainSequence


@dataclass(frozen=True, slots=True)
class Arrangement:
    """All tokens of a pass."""

    token_ids_RL: NDArray[np.int32]
    places: list[NDArray[np.int64]]
    """Of each sequence, [T]: the flat place of each token in [R, L]."""
    position_ids_L: NDArray[np.int64] | None = None
    """Of the one row; None: 0 ... L - 1 in each row."""
    segments: list[Segment] | None = None
    """Of the one row, in their order; None where a row is a sequence."""

    @property
    def tokens(self) -> int:
        """Without padding."""
        return self.token_ids_RL.size if self.segments is not None else sum(map(len, self.places))


def arrange(sequences: Sequence[TrainSequence], layout: Layout) -> Arrangement:
    """``shared`` is ``packed`` where no two sequences begin alike."""
    return _rows(sequences) if layout == "padded" else _one_row(sequences, share=layout == "shared")


def _rows(sequences: Sequence[TrainSequence]) -> Arrangement:
    """A row a sequence, padded on the right."""
    width = max(len(sequence) for sequence in sequences)
    token_ids_RL = np.zeros((len(sequences), width), dtype=np.int32)
    for row, sequence in enumerate(sequences):
        token_ids_RL[row, : len(sequence)] = sequence.token_ids_T
    return Arrangement(token_ids_RL, [row * width + np.arange(len(sequence)) for row, sequence in enumerate(sequences)])


def _one_row(sequences: Sequence[TrainSequence], share: bool) -> Arrangement:
    """Sequence after sequence. ``share``: a prompt of several stands before the first of them, and only there."""
    heads = [sequence.token_ids_T[: sequence.prompt_length] for sequence in sequences]
    keys = [head_S.tobytes() for head_S in heads]
    several = {key for key, count in Counter(keys).items() if share and count > 1 and key}
    tokens: list[NDArray[np.int32]] = []
    segments: list[Segment] = []
    prompts: dict[bytes, Segment] = {}
    places = []

    def added(token_ids_T: NDArray[np.int32], behind: Segment | None = None) -> Segment:
        segment = Segment(segments[-1].end if segments else 0, len(token_ids_T), behind)
        tokens.append(token_ids_T)
        segments.append(segment)
        return segment

    for sequence, head_S, key in zip(sequences, heads, keys, strict=True):
        if key not in several:
            places.append(added(sequence.token_ids_T).places)
            continue
        prompt = prompts[key] = prompts.get(key) or added(head_S)
        rest_T = sequence.token_ids_T[len(head_S) :]
        own = added(rest_T, prompt).places if len(rest_T) else rest_T.astype(np.int64)
        places.append(np.concatenate([prompt.places, own]))
    return Arrangement(
        token_ids_RL=np.concatenate(tokens)[None],
        places=places,
        position_ids_L=np.concatenate([segment.before + np.arange(segment.length) for segment in segments]),
        segments=segments,
    )
