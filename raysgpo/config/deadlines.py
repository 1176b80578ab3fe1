"""Deadlines that nobody set: they follow from how long an answer may be and how large a model is.

``rollout.sample_deadline`` and ``judge.call_deadline``: a second for every two tokens of the longest answer on CPUs,
for every ten elsewhere, and not less than 300 s. ``judge.deadline``: two calls. ``rollout.start_deadline`` and
``judge.start_deadline``: 120 s, and 15 s for each GiB of weights to be fetched and loaded; not less than 300 s.
``rollout.update_deadline``: 30 s, and 4 s for each GiB of weights; not less than 60 s.
"""

from __future__ import annotations

SHORTEST = 300.0
"""Seconds of the shortest deadline."""
CPU_TOKEN, OTHER_TOKEN = 0.5, 0.1
"""Seconds for a token where many sequences share an engine: on CPUs, and on GPUs or behind an endpoint."""
START, START_GIB = 120.0, 15.0
"""Seconds that an engine takes to start, and for each GiB of its weights."""

SHORTEST_UPDATE = 60.0
UPDATE, UPDATE_GIB = 30.0, 4.0
"""Seconds that an update of a replica's weights takes, and for each GiB of them."""


def answer_deadline(tokens: int, on_cpu: bool) -> float:
    """Seconds for an answer of at most ``tokens`` tokens."""
    return max(SHORTEST, tokens * (CPU_TOKEN if on_cpu else OTHER_TOKEN))


def start_deadline(weights_gib: float) -> float:
    """Seconds for an engine to come up with weights of that size."""
    return max(SHORTEST, START + START_GIB * weights_gib)


def update_deadline(weights_gib: float) -> float:
    """Seconds for a replica to exchange weights of that size."""
    return max(SHORTEST_UPDATE, UPDATE + UPDATE_GIB * weights_gib)
