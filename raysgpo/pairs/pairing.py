"""Pairs of solutions to one question, for the verifier task (CoRPO, arXiv 2511.04439, section 4.1)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from raysgpo.config import Section
from raysgpo.pairs.graded_solutions import Solved
from raysgpo.seeds import derive_seed

Row = dict[str, Any]


class PairsConfig(Section):
    """Which pairs are made of a question's solutions."""

    pairs: int = Field(1, ge=0)
    """Most pairs of a right and a wrong solution a question; each solution is used about as often."""
    both_right: int = Field(0, ge=0)
    """Most pairs of two right ones a question, for evaluation; no solution is in two of them."""
    both_wrong: int = Field(0, ge=0)
    """Most pairs of two wrong ones a question."""
    most: int | None = Field(None, ge=1)
    """Most pairs in all, of questions drawn at random; None: all."""
    domain: str | None = None
    """Written into each row: its rows are evaluated apart."""
    seed: int = 0
    """Of what is drawn: solutions, questions, and which of the two is A."""


def pairs_of(questions: Sequence[Solved], config: PairsConfig) -> list[Row]:
    """Rows of ``task.path``, in the order of the questions; with ``most``, of some of them.

    Which of two solutions is A is drawn for each pair.
    """
    rows: dict[str, list[Row]] = {one.id: list(_pairs(one, config)) for one in questions}
    assert len(rows) == len(questions), "each question has an id of its own"
    if config.most is not None:
        drawn = sorted(rows, key=lambda name: derive_seed("question", config.seed, name))
        left = config.most
        for name in drawn:
            rows[name] = rows[name][:left]
            left -= len(rows[name])
    return [row for one in questions for row in rows[one.id]]


def _pairs(one: Solved, config: PairsConfig) -> Iterator[Row]:
    drawing = random.Random(derive_seed("pairs", config.seed, one.id))
    right, wrong = drawing.sample(one.right, len(one.right)), drawing.sample(one.wrong, len(one.wrong))
    chosen = [((a, True), (b, False)) for a, b in mixed(right, wrong, config.pairs)]
    chosen += [((a, True), (b, True)) for a, b in apart(right, config.both_right)]
    chosen += [((a, False), (b, False)) for a, b in apart(wrong, config.both_wrong)]
    domain = {} if config.domain is None else {"domain": config.domain}
    for number, pair in enumerate(chosen, start=1):
        (first, first_right), (second, second_right) = drawing.sample(pair, 2)
        yield {
            **one.metadata,
            **domain,
            "id": f"{one.id}-{number}",
            "question": one.question,
            "solution_a": first,
            "solution_b": second,
            "correct_a": first_right,
            "correct_b": second_right,
        }


def mixed(right: Sequence[str], wrong: Sequence[str], most: int) -> list[tuple[str, str]]:
    """At most so many different pairs of one of each, in which all of a side are used about equally often."""
    if not right or not wrong:
        return []
    cycle = math.lcm(len(right), len(wrong))
    return [
        (right[k % len(right)], wrong[(k + k // cycle) % len(wrong)]) for k in range(min(most, len(right) * len(wrong)))
    ]


def apart(some: Sequence[str], most: int) -> list[tuple[str, str]]:
    """At most so many pairs of neighbours, none of which shares a text with another."""
    return [(some[2 * k], some[2 * k + 1]) for k in range(min(most, len(some) // 2))]
