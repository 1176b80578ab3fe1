"""Reference and response side by side in few bytes: what the embedded judge reads.

One row a reasoning step, and in it, character by character, the row's letter, what the reference has
there and what the response has. The response ``3+4=7 / 7-2=6 / #### 6`` to 3+4-2 gives ::

    a33a++a44a==a77a;;
    b77b--b22b==b56b;;
    c##c##c##c##c  c56c;_

``;`` ends a line and ``_`` fills up a shorter step; the last line above has no newline, so it is
unfinished. Past the end of the reference's line stands ``!``. To find the first error is to find the
first unequal pair, and the answer is its row's letter, or ``-`` if there is none: nothing has to be
understood, and a model says it in one token. No text of the response stands in one piece, so nothing
that it says reads as an order.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from itertools import zip_longest

from raysgpo.records import Problem

END = ";"
"""A line that ends with its newline."""
FILLER = "_"
"""The step has ended before, or there is none."""
PAST = "!"
"""The reference's line has ended before, or there is none: what the response has here is too much."""
NO_STEP = "-"
"""The letter of a row of the reference that the response did not come to."""
NONE_WRONG = "-"
"""The answer where no step is wrong."""
LETTERS = string.ascii_lowercase
"""Rows past the 26th begin again with a; an answer names one of the first 26."""
_ESCAPES = str.maketrans(
    {character: "\\" + character.upper() for character in LETTERS}
    | {"\\": r"\\", "\n": r"\/", END: "\\" + END, FILLER: "\\" + FILLER, PAST: "\\" + PAST}
)
"""A small letter is written as a backslash and the capital: in a table it is always the letter of a row."""


def compact_prompt(problem: Problem, steps: Sequence[str]) -> str:
    """The table as the user's turn under the chat template of the embedded tokenizer, up to the answer."""
    return f"<|user|>{compact_table(problem, steps)}<|end|><|assistant|>"


def read_letter(said: str, steps: int) -> int | None:
    """The position of the first error, ``steps`` if there is none, or None if ``said`` names no step."""
    if said == NONE_WRONG:
        return steps
    position = LETTERS.find(said) if len(said) == 1 else -1
    return position if 0 <= position < steps else None


def letter_of(position: int, steps: int) -> str:
    """The right answer where ``position`` is the first error, or ``steps`` where there is none."""
    return LETTERS[position % len(LETTERS)] if position < steps else NONE_WRONG


def compact_table(problem: Problem, steps: Sequence[str]) -> str:
    """The table of the reference's lines (without a reference, of the answer) and the steps.

    Different steps give different tables: nothing is cut, and what has a meaning of its own is
    written with a backslash where it is text. Blanks at the ends of a step, which are no error, are
    not compared but stand in brackets at the end of the row.
    """
    reference = problem.answer if problem.reference is None else problem.reference
    rows = zip_longest(reference.split("\n"), steps)
    return "\n".join(_row(index, line, step) for index, (line, step) in enumerate(rows))


def _row(index: int, line: str | None, step: str | None) -> str:
    letter = NO_STEP if step is None else LETTERS[index % len(LETTERS)]
    right = "" if line is None else _escaped(line) + END
    written, blanks = _written(step or "")
    width = max(len(right), len(written))
    pairs = zip(right.ljust(width, PAST), written.ljust(width, FILLER), strict=True)
    # A row of an empty step past the reference has no pair, but it is a row.
    return "".join(f"{letter}{one}{other}" for one, other in pairs) + blanks or letter


def _written(step: str) -> tuple[str, str]:
    """What is compared of a step, and the blanks at its ends ("" if there are none)."""
    body = step.strip()
    before, _, after = step.partition(body) if body else ("", "", step)
    blanks = (_escaped(before), _escaped(after.removesuffix("\n")))
    end = END if step.endswith("\n") else ""
    return _escaped(body) + end, f"[{blanks[0]}|{blanks[1]}]" if any(blanks) else ""


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
