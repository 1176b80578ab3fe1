"""How many copies of an engine: a number, or the fewest and the most."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

WRITTEN = "write a number, or the fewest and the most, as in [1,4]: 1 or more, and the most not below the fewest"


def checked_bounds(given: Any) -> tuple[int, int]:
    """(fewest, most); a number alone is both.

    Raises:
        PydanticCustomError: it is neither, or impossible.
    """
    bounds = list(given) if isinstance(given, list | tuple) else [given, given]
    if [type(bound) for bound in bounds] != [int, int] or not 1 <= bounds[0] <= bounds[1]:
        raise PydanticCustomError("replicas", "{written}", {"written": WRITTEN})
    return bounds[0], bounds[1]


ReplicaBounds = Annotated[tuple[int, int], BeforeValidator(checked_bounds)]
"""(fewest, most); Ray Serve chooses between by load."""


def bounds_text(bounds: ReplicaBounds) -> str:
    """For messages: ``3``, or ``1 to 3``."""
    fewest, most = bounds
    return str(fewest) if fewest == most else f"{fewest} to {most}"
