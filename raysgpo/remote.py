"""A call to another process as mypy sees it: what an actor's or a deployment's handle takes and gives, and whether it
still answers.

Ray's handles are made at run time and have no types of their own. Each actor and deployment of ours has a
Protocol made of these, beside the class that it is the handle of.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

CALL_DEADLINE = 60.0
"""Seconds for a call to an actor that answers at once."""

PATIENCE = 120.0
"""Seconds without an answer after which an actor counts as hung: it may start processes, or copy weights, before it
answers."""


class Pending(Protocol[R_co]):
    """What a call gives at once; awaited, or taken by ``result``, it is the answer."""

    def __await__(self) -> Generator[Any, None, R_co]: ...


class Call(Protocol[P, R_co]):
    """A method of an actor's handle."""

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Pending[R_co]: ...


class Response(Pending[R_co], Protocol[R_co]):
    """What a call to a Serve deployment gives at once."""

    def result(self, timeout_s: float | None = None) -> R_co: ...

    def cancel(self) -> None: ...


class Request(Protocol[P, R_co]):
    """A method of a Serve deployment's handle."""

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Response[R_co]: ...


class Stream(Protocol[R_co]):
    """What a call to a generator of a Serve deployment gives at once."""

    def __aiter__(self) -> AsyncIterator[R_co]: ...

    def cancel(self) -> None: ...


class StreamRequest(Protocol[P, R_co]):
    """A generator of a Serve deployment's handle."""

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Stream[R_co]: ...


def result(pending: Pending[R], deadline: float | None = CALL_DEADLINE) -> R:
    """The answer of an actor. None waits for ever: only for what another deadline ends.

    Raises:
        ray.exceptions.GetTimeoutError: it did not come within ``deadline`` seconds.
    """
    answer: R = ray.get(pending, timeout=deadline)
    return answer


def on_this_node() -> NodeAffinitySchedulingStrategy:
    """Where an actor belongs that is lost with this process anyway: no other node's end can take it."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


class Hung(RuntimeError):
    """An actor has not answered for too long."""


class Pulse(Generic[R]):
    """Whether an actor still answers: asks again and again, and never waits. Ray misses a process that has ended, and
    not one that hangs."""

    def __init__(self, what: str, ask: Callable[[], Pending[R]], patience: float = PATIENCE) -> None:
        """``what`` it is, for the message."""
        self._what = what
        self._ask = ask
        self._patience = patience
        self._pending: Pending[R] | None = None
        self._asked = 0.0

    def answer(self) -> R | None:
        """The answer to the last question, once; None while there is none.

        Raises:
            Hung: it has been waited for too long.
            RayActorError: the actor is gone.
        """
        if self._pending is None:
            self._pending, self._asked = self._ask(), time.monotonic()
        if ray.wait([self._pending], timeout=0)[0]:
            pending, self._pending = self._pending, None
            return result(pending)
        if time.monotonic() - self._asked > self._patience:
            raise Hung(f"{self._what} has not answered for {self._patience:.0f} s")
        return None
