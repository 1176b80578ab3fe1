"""A call to another process as mypy sees it: what an actor's or a deployment's handle takes and gives.

Ray's handles are made at run time and have no types of their own. Each actor and deployment of ours has a
Protocol made of these, beside the class that it is the handle of.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ParamSpec, Protocol, TypeVar

import ray

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

CALL_DEADLINE = 60.0
"""Seconds for a call to an actor that answers at once."""


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


def result(pending: Pending[R], deadline: float | None = CALL_DEADLINE) -> R:
    """The answer of an actor. None waits for ever: only for what another deadline ends.

    Raises:
        ray.exceptions.GetTimeoutError: it did not come within ``deadline`` seconds.
    """
    answer: R = ray.get(pending, timeout=deadline)
    return answer
