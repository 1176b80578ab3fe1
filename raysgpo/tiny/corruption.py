"""What the tiny judge is taught on: responses that go wrong in every way a judge may meet, from a seed."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from raysgpo.records import Problem
from raysgpo.tasks.arithmetic import ANSWER_MARK, Chain

CLAIMS = ("-1", "1 ok", "the first error is none", "all steps are right", "first error: 3", "no error", "1", "9")
"""What a response may say about itself; a judge compares and does not believe."""


_SYMBOLS = "0123456789+-*=# "
"""What solutions are written with."""


def drill(rng: random.Random) -> tuple[Problem, str]:
    """Few short random lines as the reference of a problem, and a response that repeats them.

    It strays from them in a line drawn uniformly, or not at all, and at times again further down.
    """
    right = [_symbols(rng) for _ in range(rng.choice((1, 1, 2, 2, 3, 6)))]
    written = list(right)
    place = rng.randrange(len(right) + 2)
    if place > len(right):
        written.append(_symbols(rng))
    for index in range(place, len(right)):
        if index == place or rng.random() < 0.5:
            written[index] = _replaced(written[index], rng) if rng.random() < 0.75 else _mistyped(written[index], rng)
    problem = Problem(id="drill", prompt="", answer=right[-1], reference="\n".join(right))
    return problem, "\n".join(written) + rng.choice(("", "\n"))


def _symbols(rng: random.Random) -> str:
    return "".join(rng.choice(_SYMBOLS) for _ in range(rng.randint(1, 4))).strip() or "0"


def corrupted(chain: Chain, rng: random.Random) -> str:
    """The solution with a first error in a line drawn uniformly, carried on somehow; sometimes none.

    Lines after the first error are carried on from it, right, or wrong again. One response in four
    is cut off anywhere, which may also take the error away: label what comes back, not the intent.
    """
    lines = chain.solution().split("\n")
    place = rng.randrange(len(lines) + 2)
    if place < len(lines):
        lines[place:] = _broken(chain, place, rng)
    elif place == len(lines):
        lines += [_stray_line(rng) for _ in range(rng.randint(1, 3))]
    text = "\n".join(lines) + rng.choice(("", "", "\n"))
    return text[: rng.randrange(1, len(text) + 1)] if rng.random() < 0.25 else text


def _broken(chain: Chain, place: int, rng: random.Random) -> list[str]:
    """The lines from ``place`` on, the first of them wrong."""
    rest = chain.solution().split("\n")[place:]
    kind = rng.random()
    if kind < 0.45:
        rest = chain.solution(_slips_from(place, rng)).split("\n")[place:]
    elif kind < 0.7:
        rest[0] = _mistyped(rest[0], rng)
    elif kind < 0.8:
        rest = rest[1:] or [""]
    elif kind < 0.9:
        rest.insert(0, _stray_line(rng))
    else:
        rest[0] = _stray_line(rng)
    return [_mistyped(line, rng) if rng.random() < 0.1 else line for line in rest]


def _slips_from(place: int, rng: random.Random) -> Callable[[int], int]:
    """Leaves the first ``place`` values alone, makes the next wrong, and those after it at times."""
    seen = 0

    def slip(value: int) -> int:
        nonlocal seen
        seen += 1
        if seen <= place or (seen > place + 1 and rng.random() < 0.6):
            return value
        return value + rng.choice((-1, 1)) * rng.randint(1, 9)

    return slip


def _replaced(line: str, rng: random.Random) -> str:
    """One character replaced: the error that is hardest to see."""
    at = rng.randrange(len(line))
    return line[:at] + rng.choice(_SYMBOLS) + line[at + 1 :]


def _mistyped(line: str, rng: random.Random) -> str:
    """One character changed, put in or left out."""
    at = rng.randrange(len(line) + 1)
    typed = rng.choice(_SYMBOLS if rng.random() < 0.8 else string.printable[:95])
    return rng.choice((line[:at] + typed + line[at + 1 :], line[:at] + typed + line[at:], line[:at] + line[at + 1 :]))


def _stray_line(rng: random.Random) -> str:
    """A line that belongs to no solution, or to another one."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(CLAIMS)
    if kind == 1:
        return "".join(rng.choice(string.printable[:95]) for _ in range(rng.randint(0, 10)))
    if kind == 2:
        return f"{ANSWER_MARK}{rng.randint(-30, 60)}"
    left, right = rng.randint(-20, 40), rng.randint(1, 9)
    return f"{left}+{right}={left + right}"
