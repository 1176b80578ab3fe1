"""Where the program stands in a response."""

from __future__ import annotations

import ast
import re
import warnings

Span = tuple[int, int]
PYTHON = ("python", "py", "python3", "")
"""What a fence of a program is called, or not at all."""
_OPENING = re.compile(r"^[ \t]*(?P<marks>`{3,}|~{3,})[ \t]*(?P<word>[^\s`]*)[^\n`]*\n", re.MULTILINE)


def program_of(text: str) -> str | None:
    """The last complete fence of Python behind the thinking; without any fence all of it. None: there is no program.

    A fence that was cut off is none, and nothing before it takes its place; one without a name is taken where none has
    Python's.
    """
    said = spoken(text)
    found = fences(said)
    if not found:
        return said if said.strip() else None
    complete = [(word, said[start:end]) for word, (start, end), closed in found if closed]
    if not found[-1][2]:
        return None
    named = [body for word, body in complete if word and word in PYTHON]
    return next(reversed(named or [body for word, body in complete if word in PYTHON]), None)


def is_fenced(text: str) -> bool:
    """Whether the response has its program in exactly one fence, which is called Python."""
    found = fences(spoken(text))
    return len(found) == 1 and found[0][2] and found[0][0] in PYTHON[:-1]


def spoken(text: str) -> str:
    """What stands behind the thinking; nothing where that does not end."""
    _, ended, behind = text.rpartition("</think>")
    return behind if ended or not text.lstrip().startswith("<think>") else ""


def fences(text: str) -> list[tuple[str, Span, bool]]:
    """(word, where its lines stand, whether it is closed) of each code fence."""
    found = []
    opening = _OPENING.search(text)
    while opening is not None:
        marks = opening["marks"]
        closing = re.compile(rf"^[ \t]*{marks[0]}{{{len(marks)},}}[ \t]*$", re.MULTILINE).search(text, opening.end())
        end = closing.start() if closing else len(text)
        found.append((opening["word"].lower(), (opening.end(), end), closing is not None))
        opening = _OPENING.search(text, closing.end()) if closing else None
    return found


def parsed(code: str) -> ast.Module | None:
    """Its syntax tree; None of what is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
