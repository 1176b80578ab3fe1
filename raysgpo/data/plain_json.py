"""What a JSON file can hold: what is read from one row, and what stands in the records of a run."""

from __future__ import annotations

import json
import math
from typing import Any


def unwritable(value: object) -> str | None:
    """Why the value cannot be written as JSON in UTF-8; None if it can."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair, which is no character"
    except RecursionError:
        return "it is nested too deeply"
    except ValueError:
        return "it holds a number that is not finite or has too many digits (as text, in quotes, it may)"
    except TypeError as error:
        return str(error)
    return None


def read_json(line: bytes) -> Any:
    """The value of a line. ``NaN``, which is no JSON and stands for nothing in many files, reads as null.

    A number that is too large for its type reads as infinity, which ``unwritable`` names.

    Raises:
        ValueError: the line is no JSON.
    """
    try:
        return json.loads(line, parse_constant=_constant, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _constant(word: str) -> float | None:
    return None if word == "NaN" else math.inf


def _integer(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python turns into a number, or back
        return math.inf
