"""From which number a judge counts the steps, where its answers are off by one throughout.

A judge is told to count from 1. One that counts from 0 names the step before each first error that it finds: every
RTS is too low, and its accuracy near 0, though it reads well. Of the wrong rows in which it names a step, the shift s
in -1, 0, +1 with the most answers at ``first_error + s`` is the candidate. It is called shifted (s is not 0) where

- at s are more than 3 of 4 of the answers at s or 0, by a one-sided binomial test at LEVEL: a judge that merely errs
  early is often exact;
- at s are more than half of all its answers, by the same test, over rows with room for two steps in that direction:
  an early answer to a second step can be nothing but the first;
- at s are most of its answers at two first errors or more, counted from the beginning and counted from the end: a judge
  that always names one step, or always the last but one, is off by one at a single place.

Nothing is corrected by it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from raysgpo.config import JudgeConfig

LEVEL = 0.001
"""A judge whose answers are not shifted is called so once in a thousand times at most."""
ROWS = 25
"""With fewer answers at s or 0 the first test cannot come out: (3/4)^24 > LEVEL."""
PLACE_ROWS = 3
"""Rows with their first error at one place that say anything of it."""

Shift = Literal[-1, 0, 1]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a judge named in a wrong response. ``Answer(first_error=2, steps=5, named=1)``: one step early."""

    first_error: int
    steps: int
    named: int

    @property
    def offset(self) -> int:
        return self.named - self.first_error


@dataclass(frozen=True, slots=True)
class Numbering:
    """The verdict, and what it follows from. ``shift`` is None where it cannot be told."""

    shift: Shift | None
    rows: int
    """Wrong responses in which the judge named a step."""
    early: int
    """Of those, one step before the first error."""
    exact: int
    late: int
    first_step_labelled: bool
    """Whether any of the responses is wrong in its first step: labels that count from 1 have none."""

    @property
    def enough(self) -> bool:
        return self.exact + max(self.early, self.late) >= ROWS


def numbering(answers: Sequence[Answer], first_step_labelled: bool) -> Numbering:
    early, exact, late = (sum(answer.offset == shift for answer in answers) for shift in (-1, 0, 1))
    found = Numbering(None, len(answers), early, exact, late, first_step_labelled)
    if not found.enough:
        return found
    off, shift = (early, -1) if early >= late else (late, 1)
    if tail(exact, exact + off) < LEVEL:
        return Numbering(0, len(answers), early, exact, late, first_step_labelled)
    if tail(off, exact + off, odds=3) < LEVEL and _throughout(answers, shift):
        return Numbering(-1 if shift < 0 else 1, len(answers), early, exact, late, first_step_labelled)
    return found


def _throughout(answers: Sequence[Answer], shift: int) -> bool:
    """Whether most answers are off by ``shift``, wherever the first error is."""
    roomy = [answer for answer in answers if 0 <= answer.first_error + 2 * shift < answer.steps]
    return (
        tail(sum(answer.offset == shift for answer in roomy), len(roomy)) < LEVEL
        and _places((answer.first_error, answer.offset == shift) for answer in answers) >= 2
        and _places((answer.steps - answer.first_error, answer.offset == shift) for answer in answers) >= 2
    )


def _places(shifted: Iterable[tuple[Hashable, bool]]) -> int:
    """At how many places most answers are shifted."""
    by_place: dict[Hashable, list[bool]] = defaultdict(list)
    for place, is_shifted in shifted:
        by_place[place].append(is_shifted)
    return sum(len(found) >= PLACE_ROWS and 2 * sum(found) > len(found) for found in by_place.values())


def tail(hits: int, rows: int, odds: int = 1) -> float:
    """P(at least so many hits) where a row hits with odds : 1. One-sided binomial test, exact."""
    return sum(math.comb(rows, count) * odds**count for count in range(hits, rows + 1)) / (odds + 1) ** rows


def warning(found: Numbering, judge: JudgeConfig, data: str) -> str | None:
    """One line that says what is off and what to do; None where nothing is known to be."""
    if not found.shift:
        return None
    off, side = (found.early, "before") if found.shift < 0 else (found.late, "after")
    seen = f"in {off} of the {found.early + found.exact + found.late} wrong responses where it is at most one step off"
    seen = f"{seen} it names the step {side} the first error, and nothing is corrected"
    other = f"set judge.structured={str(not judge.structured).lower()}, or another judge.model"
    if judge.prompt == "compact":
        other = "take another judge.model, or teach it again"
    if found.shift > 0:
        labels = f"see that first_error of {data} counts from 0"
        return f"warning: the judge's answers are one late: {seen}; {labels}, else {other}"
    if found.first_step_labelled:
        return f"warning: the judge counts the steps from 0, though it is told to count from 1: {seen}; {other}"
    return (
        f"warning: the judge counts the steps from 0 instead of 1, or first_error of {data} from 1 instead of 0 "
        f"(no row has 0): {seen}; see the labels, and if they count from 0, {other}"
    )
