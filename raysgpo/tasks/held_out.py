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
    """The first ``count`` rows in the order of their questions' hashes.

    The choice is the same in every run and hardly changes when the file grows.
    """
    return tuple(sorted(rows, key=lambda row: _hash(question_of(row)))[:count])


def distinct(rows: Iterable[_Row], question_of: Callable[[_Row], str]) -> list[_Row]:
    """The first row of each question."""
    first: dict[str, _Row] = {}
    for row in rows:
        first.setdefault(question_key(question_of(row)), row)
    return list(first.values())


def _hash(question: str) -> bytes:
    return hashlib.sha256(question_key(question).encode()).digest()
