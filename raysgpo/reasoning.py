"""Cutting a response into reasoning steps without losing a character.

``"".join(split_steps(text)) == text``, always: each step keeps the white space that follows it. The
cut is the coarsest that the writer marked: numbered steps, else paragraphs, else lines, else (a
single line) sentences. Code fences, LaTeX environments and display formulas stay whole, also an open
one at the end of a response that was cut off. Where there would be more steps than ``limit``,
neighbours are merged evenly.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise

_FENCE = re.compile(
    r"^[ \t]*(?P<code>```)|\\begin\{(?P<begin>[^{}\n]*)\}|\\end\{(?P<end>[^{}\n]*)\}"
    r"|(?P<dollars>\$\$)|(?P<open>\\\[)|(?P<close>\\\])",
    re.MULTILINE,
)
_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|\*\*)?(?:step[ \t]*\d+\b|\d{1,3}[.)][ \t])", re.MULTILINE | re.IGNORECASE
)
_PARAGRAPH = re.compile(r"\n(?:[ \t]*\n)+")
_LINE = re.compile(r"\n")
_SENTENCE = re.compile(r"[.!?][\"')\]]*\s+(?=\S)|[。！？]+\s*")  # noqa: RUF001


def split_steps(text: str, limit: int = 64) -> list[str]:
    """The reasoning steps of a response, at most ``limit``; the empty text has none."""
    assert limit >= 1, f"a response has room for one step at least, got limit={limit}"
    if not text:
        return []
    whole = _protected(text)
    cuts = _headings(text, whole)
    for boundary in (_PARAGRAPH, _LINE, _SENTENCE):
        cuts = cuts or _visible(text, [m.end() for m in boundary.finditer(text)], whole)
    edges = [0, *cuts, len(text)]
    return _merged([text[a:b] for a, b in pairwise(edges)], limit)


def _headings(text: str, whole: list[tuple[int, int]]) -> list[int]:
    """Cuts before the numbered headings, if there are two or more of them."""
    starts = [match.start() for match in _HEADING.finditer(text)]
    starts = [start for start in starts if not _inside(start, whole)]
    return _visible(text, starts, whole) if len(starts) >= 2 else []


def _visible(text: str, cuts: list[int], whole: list[tuple[int, int]]) -> list[int]:
    """The cuts that lie outside of protected parts and leave something to read on both sides."""
    kept: list[int] = []
    for cut in cuts:
        before = text[kept[-1] if kept else 0 : cut]
        if before.strip() and not _inside(cut, whole):
            kept.append(cut)
    while kept and not text[kept[-1] :].strip():
        kept.pop()
    return kept


def _inside(cut: int, whole: list[tuple[int, int]]) -> bool:
    index = bisect_right(whole, (cut, 0)) - 1
    return index >= 0 and whole[index][0] < cut < whole[index][1]


def _protected(text: str) -> list[tuple[int, int]]:
    """The (start, end) of every code fence, environment and display formula, in order, apart.

    Only the delimiter that opened a part can close it; equal environments may nest.
    """
    spans: list[tuple[int, int]] = []
    opened: tuple[int, str, str] | None = None
    depth = 0
    for match in _FENCE.finditer(text):
        kind, name = _delimiter(match)
        if opened is None:
            if kind in ("code", "begin", "dollars", "open"):
                opened, depth = (match.start(), kind, name), 1
            continue
        start, opener, opened_name = opened
        if opener == "begin" and name == opened_name and kind in ("begin", "end"):
            depth += 1 if kind == "begin" else -1
        elif (opener, kind) in (("code", "code"), ("dollars", "dollars"), ("open", "close")):
            depth = 0
        if depth == 0:
            spans.append((start, match.end()))
            opened = None
    if opened is not None:
        spans.append((opened[0], len(text)))
    return spans


def _delimiter(match: re.Match[str]) -> tuple[str, str]:
    """Kind of a delimiter and the name of its environment ("" where it has none)."""
    kind = match.lastgroup
    assert kind is not None, "every alternative of the pattern is a named group"
    return kind, match.group(kind) if kind in ("begin", "end") else ""


def _merged(steps: list[str], limit: int) -> list[str]:
    if len(steps) <= limit:
        return steps
    edges = [index * len(steps) // limit for index in range(limit + 1)]
    return ["".join(steps[a:b]) for a, b in pairwise(edges)]
