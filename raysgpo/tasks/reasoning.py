"""Cutting a response into reasoning steps without losing a character.

``"".join(split_steps(text)) == text``, always: each step keeps the white space that follows it. The
cut is the coarsest that the writer marked: numbered steps, else numbered headings, else a numbered
list, else paragraphs, else lines, else (a single line) sentences; the thinking before ``</think>``
and the answer after it are cut each in its own way. Code fences, LaTeX environments and display
formulas stay whole, also an open one at the end of a response that was cut off; a title stays with
what it stands over. Where there would be more steps than ``limit``, neighbours are merged evenly.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise

_FENCE = re.compile(
    r"^[ \t]*(?P<code>`{3,}(?=(?P<info>[^`\n]*)$)|~{3,}(?=(?P<tilde_info>[^\n]*)$))"
    r"|\\begin\{(?P<begin>[^{}\n]*)\}|\\end\{(?P<end>[^{}\n]*)\}"
    r"|(?P<dollars>\$\$)|(?P<open>\\\[)|(?P<close>\\\])",
    re.MULTILINE,
)
_THOUGHT = re.compile(r"</think>\s*")
_HEADINGS = tuple(
    re.compile(rf"^[ \t]*{pattern}", re.MULTILINE | re.IGNORECASE)
    for pattern in (
        r"(?:#{1,6}[ \t]+|[-*+][ \t]+)?[*_]{0,3}"
        r"(?:step[ \t]*\d+(?![^\W_])|步骤[ \t]*[\d一二三四五六七八九十]|第[\d一二三四五六七八九十]{1,3}步)",
        r"(?:#{1,6}[ \t]+[*_]{0,3}|[*_]{2,3})\d{1,3}[.)][ \t]",
        r"\d{1,3}[.)][ \t]",
    )
)
"""From coarse to fine: steps with a number, titles with one, items of a list."""
_UNREAD = re.compile(
    r"(?:\s+|^</?think>[ \t\r]*$|^#{1,6}[ \t][^\n\d=$\\]*$|^\*\*[^*\n\d=$\\]+\*\*:?[ \t\r]*$)*", re.MULTILINE
)
"""White space, titles and tags: a step needs more than that."""
_BLANK = re.compile(r"\s*")
_PARAGRAPH = re.compile(r"\n(?:[ \t\r]*\n)+")
_LINE = re.compile(r"\n")
_ABBREVIATIONS = "".join(
    rf"(?<!\b{word})" for word in (r"e\.g", r"i\.e", "etc", "vs", "cf", "Dr", "Mr", "Mrs", "Eq", "Fig")
)
_SENTENCE = re.compile(rf"(?:{_ABBREVIATIONS}\.|[!?])[\"')\]]*\s+(?=\S)|[。！？]+\s*")  # noqa: RUF001


def split_steps(text: str, limit: int = 64) -> list[str]:
    """The reasoning steps of a response, at most ``limit``; the empty text has none."""
    assert limit >= 1, f"a response has room for one step at least, got limit={limit}"
    if not text:
        return []
    thought = _THOUGHT.search(text)
    middle = thought.end() if thought is not None else 0
    if thought is None or not text[: thought.start()].replace("<think>", "").strip() or middle == len(text):
        return _merged(_cut(text), limit)
    return _merged([*_cut(text[:middle]), *_cut(text[middle:])], limit)


def _cut(text: str) -> list[str]:
    whole = _protected(text)
    cuts = _headings(text, whole)
    for boundary in (_PARAGRAPH, _LINE, _SENTENCE):
        cuts = cuts or _visible(text, [m.end() for m in boundary.finditer(text)], whole, titles=True)
    return [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]


def _headings(text: str, whole: list[tuple[int, int]]) -> list[int]:
    """Cuts before the numbered headings of the coarsest kind of which there are two or more."""
    for heading in _HEADINGS:
        starts = [match.start() for match in heading.finditer(text)]
        starts = [start for start in starts if not _inside(start, whole)]
        if len(starts) >= 2:
            return _visible(text, starts, whole, titles=False)
    return []


def _visible(text: str, cuts: list[int], whole: list[tuple[int, int]], titles: bool) -> list[int]:
    """The cuts outside of protected parts that leave something to read on both sides.

    With ``titles`` a title alone is nothing to read.
    """
    end = len(text.rstrip())
    kept: list[int] = []
    read = _first_read(text, 0, titles)
    for cut in cuts:
        if read < cut < end and not _inside(cut, whole):
            kept.append(cut)
            read = _first_read(text, cut, titles)
    return kept


def _first_read(text: str, start: int, titles: bool) -> int:
    """Where, from ``start`` on, there first stands something to read."""
    match = (_UNREAD if titles else _BLANK).match(text, start)
    assert match is not None, "both patterns match the empty text"
    return match.end()


def _inside(cut: int, whole: list[tuple[int, int]]) -> bool:
    index = bisect_right(whole, (cut, 0)) - 1
    return index >= 0 and whole[index][0] < cut < whole[index][1]


def _protected(text: str) -> list[tuple[int, int]]:
    """The (start, end) of every code fence, environment and display formula, in order, apart.

    Only the delimiter that opened a part can close it; equal environments may nest. A code fence is
    closed by as many of its marks or more, without a word behind them.
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
        elif (opener, kind) == ("code", "code"):
            word = match["info"] or match["tilde_info"] or ""
            depth = 0 if name.startswith(opened_name) and not word.strip() else 1
        elif (opener, kind) in (("dollars", "dollars"), ("open", "close")):
            depth = 0
        if depth == 0:
            spans.append((start, match.end()))
            opened = None
    if opened is not None:
        spans.append((opened[0], len(text)))
    return spans


def _delimiter(match: re.Match[str]) -> tuple[str, str]:
    """Kind of a delimiter and, of an environment its name, of a code fence its marks."""
    kind = next(name for name in ("code", "begin", "end", "dollars", "open", "close") if match[name] is not None)
    return kind, match[kind] if kind in ("code", "begin", "end") else ""


def _merged(steps: list[str], limit: int) -> list[str]:
    if len(steps) <= limit:
        return steps
    edges = [index * len(steps) // limit for index in range(limit + 1)]
    return ["".join(steps[a:b]) for a, b in pairwise(edges)]
