"""What the segments of a packed row attend to, as attention kernels want to be told. Numpy only.

A segment is a sequence, a prompt, or what follows a prompt that stands elsewhere in the row. Its tokens attend to all
of that prompt, and causally to each other.

Shape legend: _B borders, _R rows (segments), _L queries of a row, _M keys of a row, _Q queries and _K keys, of all rows
together, _A tokens of the packed row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CALL_PAIRS = 4096
"""What one more call of a dense kernel costs, in pairs of a query and a key, for what attention there is in a small
model."""
PADDING = 8
"""Beside that, a bucket's padding may be one pair in so many."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbours in a packed row."""

    start: int
    """Its first place."""
    length: int
    behind: Segment | None = None
    """The prompt that it goes on from; itself behind nothing."""

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def before(self) -> int:
        """Tokens of its sequence that stand in another segment."""
        return self.behind.length if self.behind else 0

    @property
    def keys(self) -> int:
        """How many tokens its last one attends to."""
        return self.before + self.length

    @property
    def places(self) -> NDArray[np.int64]:
        return np.arange(self.start, self.end)

    @property
    def key_places(self) -> NDArray[np.int64]:
        """[M]: in the order of its sequence."""
        return self.places if self.behind is None else np.concatenate([self.behind.places, self.places])


@dataclass(frozen=True, slots=True)
class Bucket:
    """Segments that a dense kernel attends to at once: rows padded on the right."""

    rows: int
    queries: int
    """L, of the longest."""
    keys: int
    """M, of the longest."""
    before_R: NDArray[np.int64]
    """Keys before each row's first query."""

    def visible(self, window: int | None = None) -> NDArray[np.bool_]:
        """[R or 1, L, M]: which key a query attends to, the latest ``window`` of those that are not behind it.

        One for all rows that have as many keys before them. A row's padding stands behind all its own tokens.
        """
        before_R = self.before_R[:1] if (self.before_R == self.before_R[0]).all() else self.before_R
        # Of the padding too, every query has to see a key.
        own_RL = np.minimum(before_R[:, None] + np.arange(self.queries), self.keys - 1)
        ago_RLM = own_RL[:, :, None] - np.arange(self.keys)
        return (ago_RLM >= 0) & (ago_RLM < (window or self.keys))

    @property
    def causal(self) -> bool:
        """Whether that is the plain triangle."""
        return not self.before_R.any()


@dataclass(frozen=True, slots=True)
class Buckets:
    """All segments of a row, gathered into padded rows, bucket after bucket."""

    buckets: list[Bucket]
    queries_Q: NDArray[np.int64]
    """[sum of R L]: the place that each padded query is gathered from."""
    keys_K: NDArray[np.int64]
    """[sum of R M]: the same of keys and values."""
    answers_A: NDArray[np.int64]
    """Where, among the padded queries, the token of each place of the row stands."""


def borders(lengths: Sequence[int]) -> NDArray[np.int32]:
    """[B]: 0, and where each of so many neighbours ends."""
    return np.cumsum([0, *lengths], dtype=np.int32)


def bucketed(segments: Sequence[Segment]) -> Buckets:
    """Segments of like sizes side by side, so that padding them costs less than calls of their own."""
    parts = [(_bucket(part), part) for part in _like_sizes(segments)]
    answers_A = np.empty(sum(segment.length for segment in segments), dtype=np.int64)
    queries, keys, first = [], [], 0
    for bucket, part in parts:
        for row, segment in enumerate(part):
            queries.append(_padded(segment.places, bucket.queries))
            keys.append(_padded(segment.key_places, bucket.keys))
            answers_A[segment.places] = first + row * bucket.queries + np.arange(segment.length)
        first += bucket.rows * bucket.queries
    return Buckets([bucket for bucket, _ in parts], np.concatenate(queries), np.concatenate(keys), answers_A)


def _like_sizes(segments: Sequence[Segment]) -> list[list[Segment]]:
    """The largest first, each with its neighbours as long as padding them costs less than a call of their own."""
    parts: list[list[Segment]] = []
    queries = keys = needed = 0
    for segment in sorted(segments, key=lambda segment: (-segment.keys, -segment.length, segment.start)):
        queries, needed = max(queries, segment.length), needed + segment.length * segment.keys
        if parts and (len(parts[-1]) + 1) * queries * keys - needed <= CALL_PAIRS + needed // PADDING:
            parts[-1].append(segment)
        else:
            parts.append([segment])
            queries, keys, needed = segment.length, segment.keys, segment.length * segment.keys
    return parts


def _bucket(part: Sequence[Segment]) -> Bucket:
    return Bucket(
        rows=len(part),
        queries=max(segment.length for segment in part),
        keys=max(segment.keys for segment in part),
        before_R=np.array([segment.before for segment in part], dtype=np.int64),
    )


def _padded(places_T: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """What stands in the padding is never looked at, but has to be somewhere."""
    return np.concatenate([places_T, np.full(length - len(places_T), places_T[0])])
