"""Deadlines that nobody set: they follow from how large a model is, and how long an answer may be.

``rollout.token_deadline``: 120 s, and the time in which a slow machine reads the longest prompt and answer once.
``judge.call_deadline``, and how long a replica that is shut down may go on: a second for every two tokens of the
longest answer on CPUs, for every ten elsewhere, and not less than 300 s. ``judge.deadline``: two calls.
``rollout.start_deadline`` and ``judge.start_deadline``: 120 s, and 15 s for each GiB of weights to be fetched and
loaded; not less than 300 s.
``rollout.update_deadline``: 30 s, and 4 s for each GiB of weights; not less than 60 s.
"""

from __future__ import annotations

SHORTEST = 300.0
"""Seconds of the shortest deadline."""
CPU_TOKEN, OTHER_TOKEN = 0.5, 0.1
"""Seconds for a token where many sequences share an engine: on CPUs, and on GPUs or behind an endpoint."""
TOKEN = 120.0
"""Seconds without a token, beside those that reading a prompt takes."""
CPU_READ, OTHER_READ = 0.03, 0.0002
"""Seconds in which a slow machine reads a token of a prompt, for each GiB of weights: at some 20 GFLOP/s on CPUs, and
5 TFLOP/s on GPUs."""
START, START_GIB = 120.0, 15.0
"""Seconds that an engine takes to start, and for each GiB of its weights."""

SHORTEST_UPDATE = 60.0
UPDATE, UPDATE_GIB = 30.0, 4.0
"""Seconds that an update of a replica's weights takes, and for each GiB of them."""


def answer_deadline(tokens: int, on_cpu: bool) -> float:
    """Seconds for an answer of at most ``tokens`` tokens."""
    return max(SHORTEST, tokens * (CPU_TOKEN if on_cpu else OTHER_TOKEN))


def token_deadline(weights_gib: float, tokens: int, on_cpu: bool) -> float:
    """Seconds for the next token of an engine with weights of that size, whose sequences have at most ``tokens``."""
    return TOKEN + round(tokens * weights_gib * (CPU_READ if on_cpu else OTHER_READ))


def start_deadline(weights_gib: float) -> float:
    """Seconds for an engine to come up with weights of that size."""
    return max(SHORTEST, START + START_GIB * weights_gib)


def update_deadline(weights_gib: float) -> float:
    """Seconds for a replica to exchange weights of that size."""
    return max(SHORTEST_UPDATE, UPDATE + UPDATE_GIB * weights_gib)
