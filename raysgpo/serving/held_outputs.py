"""An engine core's outputs, held until their request ends, where nobody looks at them earlier.

vLLM's core hands over one output a request and step, and its front end takes each one up; a rollout's request is read
when it has ended. Packing, unpacking and adding them up one by one takes a fifth of the sampling of a tiny model,
and what takes them up holds the interpreter that the core waits for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

HOLD = 1.0
"""Seconds after which what is held goes on all the same: whoever counts tokens sees that there are more."""


class HeldOutputs:
    """Stands before the queue of an engine core's outputs; what passes is (client, ``EngineCoreOutputs``).

    No token is lost or changes its place, and outputs of two versions of the weights are never one.
    """

    def __init__(
        self,
        queue: Any,
        may_wait: Callable[[str], bool],
        hold: float = HOLD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``may_wait``: of a request's id, whether it is read when it ends and not before."""
        self.get = queue.get
        self._queue = queue
        self._may_wait = may_wait
        self._hold = hold
        self._clock = clock
        self._held: dict[int, dict[str, list[Any]]] = {}
        """Client to request to its outputs, the oldest first."""
        self._version: str | None = None
        """Of the weights that made what is held."""
        self._since = clock()

    def put_nowait(self, item: Any) -> None:
        if not isinstance(item, tuple) or not item[1].outputs:
            self._queue.put_nowait(item)
            return
        client, outputs = item
        if outputs.weight_version != self._version:
            self._release(outputs)
            self._version = outputs.weight_version
        outputs.outputs = [passed for output in outputs.outputs if (passed := self._pass(client, output)) is not None]
        if outputs.outputs or outputs.scheduler_stats is not None or outputs.finished_requests:
            self._queue.put_nowait(item)
        if self._clock() - self._since >= self._hold:
            self._release(outputs)

    def _pass(self, client: int, output: Any) -> Any:
        """What goes on at once: all of a request that ends, or one that is read as it comes."""
        held = self._held.setdefault(client, {})
        if output.finish_reason is not None:
            return joined([*held.pop(output.request_id, ()), output])
        if not self._may_wait(output.request_id):
            return output
        held.setdefault(output.request_id, []).append(output)
        return None

    def _release(self, like: Any) -> None:
        """Let all go on that is held; ``like``: some ``EngineCoreOutputs``."""
        for client, held in self._held.items():
            if held:
                outputs = [joined(parts) for parts in held.values()]
                self._queue.put_nowait((client, type(like)(outputs=outputs, weight_version=self._version)))
        self._held = {}
        self._since = self._clock()


def joined(parts: Sequence[Any]) -> Any:
    """A request's outputs of successive steps as one."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    last.new_token_ids = [token for part in parts for token in part.new_token_ids]
    last.prefill_stats = parts[0].prefill_stats
    logprobs = [part.new_logprobs for part in parts if part.new_logprobs is not None]
    if logprobs:
        columns = zip(*(part[:3] for part in logprobs), strict=True)
        last.new_logprobs = type(logprobs[0])(*map(np.concatenate, columns))
    return last
