"""Which questions of a file are kept from training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

_Row = TypeVar("_Row")


def divided(
    rows: Sequence[_Row], source: Sequence[_Row], count: int, question_of: Callable[[_Row], str]
) -> tuple[tuple[_Row, ...], tuple[_Row, ...]]:
    """``count`` rows of ``source`` to be held out, and the ``rows`` that ask none of their questions.

    The first rows of the source in the order of their questions' hashes are held out, so that the
    choice is the same in every run and hardly changes when the file grows.

    Raises:
        ValueError: nothing is left to train on.
    """
    held_out = tuple(sorted(source, key=lambda row: _hash(question_of(row)))[:count])
    taken = {_key(question_of(row)) for row in held_out}
    left = tuple(row for row in rows if _key(question_of(row)) not in taken)
    if not left:
        raise ValueError(
            f"task.path: all of its {len(rows)} rows are held out, none is left to train "
            "on: lower evaluation.prompts, or set task.eval_path to another file"
        )
    return held_out, left


def distinct(rows: Sequence[_Row], question_of: Callable[[_Row], str]) -> list[_Row]:
    """The first row of each question."""
    first: dict[str, _Row] = {}
    for row in rows:
        first.setdefault(_key(question_of(row)), row)
    return list(first.values())


def _key(question: str) -> str:
    """The question without regard to case and white space."""
    return " ".join(question.casefold().split())


def _hash(question: str) -> bytes:
    return hashlib.sha256(_key(question).encode()).digest()
