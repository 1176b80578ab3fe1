"""Which questions of a file are kept from training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

_Row = TypeVar("_Row")


def question_key(question: str) -> str:
    """The question without regard to case and white space."""
    return " ".join(question.casefold().split())


def chosen(rows: Iterable[_Row], count: int, question_of: Callable[[_Row], str]) -> tuple[_Row, ...]:
    """One row of each of the first ``count`` distinct questions, in the order of their hashes.

    The choice is the same in every run and hardly changes when the file grows.
    """
    distinct: dict[str, _Row] = {}
    for row in rows:
        distinct.setdefault(question_key(question_of(row)), row)
    ordered = sorted(distinct, key=lambda key: hashlib.sha256(key.encode()).digest())
    return tuple(distinct[key] for key in ordered[:count])
