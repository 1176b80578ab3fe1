"""Makes the two processes of a vLLM engine nap where they would spin, waiting for each other.

A worker that has its own process looks for its next step in a loop for a whole second after each one,
and the engine looks for its answer likewise. On a machine whose few cores are shared with the trainer
that costs every judged step as much as the judging itself. (The rollout engine needs no such process;
``ray.serve.llm`` insists on it.) Importing this file is all: vLLM does, in each of the two processes,
where the classes below are named as ``worker_extension_cls`` and ``scheduler_cls``.
"""

from __future__ import annotations

import inspect

from vllm.distributed.device_communicators.shm_broadcast import SpinCondition
from vllm.v1.core.sched.scheduler import Scheduler

from raysgpo.weights import parent_watch  # noqa: F401 (each process of an engine ends with its parent)

_SPIN_SECONDS = 0.0005
"""Long enough for the next call of the same step."""
_NAP_MS = 1.0
"""A nap ends with a notification, or after this: notifications can be lost on the way."""


class IdleWorker:
    """Adds nothing to the worker."""


class IdleScheduler(Scheduler):  # type: ignore[misc]
    """vLLM's own."""


def _nap(condition: SpinCondition, timeout_ms: float | None = None) -> None:
    """In place of ``SpinCondition.wait``: return when there may be something to read."""
    condition.busy_loop_s = _SPIN_SECONDS
    _wait(condition, _NAP_MS if timeout_ms is None else min(timeout_ms, _NAP_MS))


assert "busy_loop_s" in inspect.signature(SpinCondition).parameters, "vLLM's SpinCondition spins in another way now"
_wait = SpinCondition.wait
SpinCondition.wait = _nap
