"""Cutting a response into reasoning steps without losing a character.

``"".join(split_steps(text)) == text``, always: each step keeps the white space that follows it. A paragraph is a step.
Beside these cuts, and never in their place, a paragraph is cut within:

- before each heading of a numbered step ("Step 2", "### 2. Solve"), if it has one; else
- at its lines, if it has many, or some and nothing follows it; else
- before each item, if it begins with an item of a numbered list; else
- at its sentences, if it has many, or some and little follows it.

What decides is the paragraph and what comes after it, so paragraphs put before a response change no cut of the rest.
Headings and rules are no steps: they stay with what follows them. Items that state nothing, as those of a plan, are one
step together. Code fences, LaTeX environments and display formulas stay whole; one that is never closed ends at the
next blank line, an open fence with the response. The thinking before ``</think>`` and the answer after it are cut each
by itself. Where there would be more steps than ``limit``, neighbours are merged evenly.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

Span = tuple[int, int]

MANY_LINES, LAST_LINES = 10, 3
"""Lines for which a paragraph is cut at them: anywhere, and where it is the last one."""
MANY_SENTENCES, LAST_SENTENCES, LAST_CLAIMS = 10, 7, 3
"""Sentences for which a paragraph is cut at them: where at most NEAR paragraphs follow; where none does; and where none
does, those with an equation or the like in a paragraph whose sentences have SHORT characters on average."""
NEAR = 2
SHORT = 60

_FENCE = re.compile(
    r"^[ \t]*(?P<code>`{3,}(?=(?P<info>[^`\n]*)$)|~{3,}(?=(?P<tilde_info>[^\n]*)$))"
    r"|\\begin\{(?P<begin>[^{}\n]*)\}|\\end\{(?P<end>[^{}\n]*)\}"
    r"|(?P<dollars>\$\$)|(?P<open>\\\[)|(?P<close>\\\])",
    re.MULTILINE,
)
_THOUGHT = re.compile(r"</think>\s*")
_STEP = re.compile(
    r"^[ \t]*(?:(?:#{1,6}[ \t]+|[-*+][ \t]+)?[*_]{0,3}"
    r"(?:step[ \t]*\d+(?![^\W_])|步骤[ \t]*[\d一二三四五六七八九十]|第[\d一二三四五六七八九十]{1,3}步)"
    r"|(?:#{1,6}[ \t]+[*_]{0,3}|[*_]{2,3})\d{1,3}[.)][ \t])",
    re.MULTILINE | re.IGNORECASE,
)
"""A heading with the number of a step."""
_ITEM = re.compile(r"^[ \t]*(?:\d{1,3}[.)]|\(\d{1,3}\))[ \t]", re.MULTILINE)
_RELATION = re.compile(r"[=<>≤≥≈≠≡∈→⇒]|\\(?:le|ge|leq|geq|lt|gt|ne|neq|approx|equiv|in|implies|Rightarrow|mid|sim)\b")
_FINITE = re.compile(
    r"\b(?:is|are|was|were|be|has|have|had|gives?|gets?|got|equals?|becomes?|yields?|makes?|leaves?|means?|follows?|holds?"
    r"|costs?|contains?|remains?|says?|there|we|it|so|thus|hence|therefore|since|because|must|can|cannot)\b"
    r"|[是为得有等即]|所以|因此",
    re.IGNORECASE,
)
"""Words with which a list item says something; a plan has verbs in the imperative ("find the speed")."""
_CODE = (
    r"[ \t]*(?:@\w|(?:def|class|import|assert|return|if|elif|for|while|with|try|else|from \S+ import)\b[^\n]*[\w):\]]$"
    r"|[\w.]+(?:\[[^\]\n]*\])? *[+*-]?=[^=]|[\w.]+\([^\n]*\)[ \t]*(?:#[^\n]*)?$)"
)
_TITLE = re.compile(
    rf"#{{1,6}}[ \t](?:(?![.!?][ \t]|\\n)[^\n])*[^\W\d_]{{2}}(?:(?![.!?][ \t]|\\n)[^\n])*(?:\n+(?!\n|{_CODE})|\Z)"
    r"|\*\*[^*\n]+\*\*:?[ \t\r]*(?:\n|\Z)"
    r"|(?P<tag></?think>)[ \t\r]*(?:\n|\Z)"
    r"|[ \t]*(?:[-_*=~](?:[ \t]*[-_*=~]){2,})[ \t\r]*(?:\n|\Z)",
    re.MULTILINE,
)
"""A heading in words, a tag or a rule, as a line; a comment in front of code is no heading."""
_MARKER = re.compile(r"[ ]{0,3}(?:\d{1,3}[.)]|\(\d{1,3}\)|[-*+•])[ \t]")
_PROSE = re.compile(r"(?:(?<![\\{])\b[a-z]{2,}[ ,]+){3}")
_BLANK = re.compile(r"(?:[ \t\r\f\v]*\n)*")
_SPACE = re.compile(r"\s*")
_PARAGRAPH = re.compile(r"\n(?:[ \t\r]*\n)+")
_LINE = re.compile(r"\n")
_DISPLAY = re.compile(r"[ \t]*(?:\\\[|\$\$|\\begin\{)")
"""A line that belongs to the one before it, a sentence most often."""
_DISPLAYED = re.compile(r"(?:\\\]|\$\$|\\end\{[^{}\n]*\})[.,;]?[ \t\r]*\n\Z")
_GOES_ON = re.compile(r"[ \t]*(?:[a-z]+\b|[=<>+&-]|\\)")
"""How a line begins that belongs to the formula before it."""
_INTRODUCES = re.compile(r":[*_ \t\r]*\n\Z")
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
        return merged(_cut(text), limit)
    return merged([*_cut(text[:middle]), *_cut(text[middle:])], limit)


def _cut(text: str) -> list[str]:
    whole = _protected(text)
    ends = [match.end() for match in _PARAGRAPH.finditer(text) if not _inside(match.end(), whole)]
    paragraphs = [(start, end) for start, end in pairwise([0, *ends, len(text)]) if start < end]
    cuts: list[int] = []
    for index, (start, end) in enumerate(paragraphs):
        cuts += [start, *_within(text, start, end, whole, following=len(paragraphs) - index - 1)]
    return [text[a:b] for a, b in pairwise([0, *_readable(text, cuts, whole), len(text)])]


def _within(text: str, start: int, end: int, whole: list[Span], following: int) -> list[int]:
    """The cuts within the paragraph ``text[start:end]``, which so many others follow."""

    def starts(pattern: re.Pattern[str]) -> list[int]:
        return [m.start() for m in pattern.finditer(text, start, end) if not _inside(m.start(), whole)]

    headings = starts(_STEP)
    if headings and not text[start : headings[0]].strip():
        del headings[0]
    if headings:
        parts = list(pairwise([start, *headings, end]))
        inner = [cut for a, b in parts for cut in _within(text, a, b, whole, max(following, 1))]
        return sorted({*headings, *inner})
    lines = _lines(text, start, end, whole)
    if len(lines) + 1 >= (LAST_LINES if following == 0 else MANY_LINES):
        return lines
    if items := _items(text, start, starts(_ITEM)):
        return items
    last = len(text[start:end].rstrip()) + start
    sentences = [
        m.end() for m in _SENTENCE.finditer(text, start, end) if m.end() < last and not _inside(m.end(), whole)
    ]
    return sentences if _worth(text, [start, *sentences, end], following) else []


def _items(text: str, start: int, places: list[int]) -> list[int]:
    """Where the items of the outermost level begin, if the paragraph begins with one."""
    if not places or text[start : places[0]].strip():
        return []
    outermost = _indent(text, places[0])
    return [place for place in places if _indent(text, place) <= outermost]


def _indent(text: str, start: int) -> int:
    line = text[start : start + 100].expandtabs(4)
    return len(line) - len(line.lstrip(" "))


def _lines(text: str, start: int, end: int, whole: list[Span]) -> list[int]:
    """The line ends at which something new begins. A list that a line introduces stays with it."""
    last = start + len(text[start:end].rstrip())
    cuts, before, introduced = [], start, False
    for match in _LINE.finditer(text, start, last):
        cut = match.end()
        if _inside(cut, whole):
            continue
        listed = _MARKER.match(text, cut) is not None
        introduced = listed and (introduced or _INTRODUCES.search(text, max(before, cut - 20), cut) is not None)
        goes_on = _GOES_ON.match(text, cut) and _DISPLAYED.search(text, max(before, cut - 80), cut)
        if not (introduced or _DISPLAY.match(text, cut) or goes_on):
            cuts.append(cut)
        before = cut
    return cuts


def _worth(text: str, edges: list[int], following: int) -> bool:
    """Whether a paragraph has so many sentences that they are its steps."""
    count = len(edges) - 1
    if following == 0 and count >= LAST_CLAIMS:
        claims = sum(_RELATION.search(text, a, b) is not None for a, b in pairwise(edges))
        short = edges[-1] - edges[0] <= SHORT * count
        return count >= LAST_SENTENCES or (short and claims >= LAST_CLAIMS)
    return following <= NEAR and count >= MANY_SENTENCES


def _readable(text: str, cuts: list[int], whole: list[Span]) -> Iterator[int]:
    """The cuts that leave something to read on both sides."""
    end, edges = len(text.rstrip()), [*cuts, len(text)]
    read, before, plan = _first_read(text, 0), 0, True
    last_read = read
    for cut, following in pairwise(edges):
        after = last_read = last_read if cut <= last_read else _first_read(text, cut)
        plan = plan and (read >= cut or _states_nothing(text, before, cut))
        goes_on = plan and _states_nothing(text, cut, following)
        if read < cut and after < end and not _inside(cut, whole) and not goes_on:
            yield cut
            read, plan = after, True
        before = cut


def _states_nothing(text: str, start: int, end: int) -> bool:
    """Whether an item of a list says what is to be done, and nothing of what is so."""
    return not (
        _MARKER.match(text, start) is None or _RELATION.search(text, start, end) or _FINITE.search(text, start, end)
    )


def _first_read(text: str, start: int) -> int:
    """Where, from ``start`` on, there first stands something that is a step: no title, no rule, no empty item."""
    while True:
        start = _end_of(_BLANK, text, start)
        title = _TITLE.match(text, start)
        if title is None or (title["tag"] is None and _RELATION.search(text, start, title.end())):
            return _end_of(_SPACE, text, start)
        start = title.end()


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    assert match is not None, "it matches the empty text"
    return match.end()


def _inside(cut: int, whole: list[Span]) -> bool:
    index = bisect_right(whole, (cut, 0)) - 1
    return index >= 0 and whole[index][0] < cut < whole[index][1]


def _protected(text: str) -> list[Span]:
    """The (start, end) of every code fence, environment and display formula, in order, apart."""
    marks = list(_FENCE.finditer(text))
    closers = _closers(marks)
    spans: list[Span] = []
    index = 0
    while index < len(marks):
        kind, name = _delimiter(marks[index])
        start = marks[index].start()
        if kind == "code":
            index, end = _fence_end(marks, index, name, len(text))
            spans.append((start, end))
        elif kind in ("begin", "dollars", "open"):
            closer = closers.get(index)
            end = marks[closer].end() if closer is not None else len(text)
            blank = _PARAGRAPH.search(text, start, end)
            if closer is None or (blank is not None and _PROSE.search(text, start, end)):
                end = blank.start() if blank is not None else end
            spans.append((start, end))
            index = bisect_left(marks, end, lo=index + 1, key=lambda mark: mark.start())
        else:
            index += 1
    return spans


def _fence_end(marks: list[re.Match[str]], index: int, opener: str, length: int) -> tuple[int, int]:
    """(the mark to go on with, the end) of a code fence: as many of its marks or more close it, no word behind them."""
    for after in range(index + 1, len(marks)):
        kind, name = _delimiter(marks[after])
        word = marks[after]["info"] or marks[after]["tilde_info"] or ""
        if kind == "code" and name.startswith(opener) and not word.strip():
            return after + 1, marks[after].end()
    return len(marks), length


def _closers(marks: list[re.Match[str]]) -> dict[int, int]:
    """Of each opening mark of a formula or an environment the mark that closes it. Equal environments may nest."""
    found: dict[int, int] = {}
    opened: dict[str, list[int]] = {}
    display: int | None = None
    dollars: int | None = None
    for index, mark in enumerate(marks):
        kind, name = _delimiter(mark)
        if kind == "begin":
            opened.setdefault(name, []).append(index)
        elif kind == "end" and opened.get(name):
            found[opened[name].pop()] = index
        elif kind == "open":
            display = index
        elif kind == "close" and display is not None:
            found[display], display = index, None
        elif kind == "dollars":
            if dollars is not None:
                found[dollars] = index  # the next one, should this one open; who asks decides
            dollars = index
    return found


def _delimiter(match: re.Match[str]) -> tuple[str, str]:
    """Kind of a delimiter and, of an environment its name, of a code fence its marks."""
    kind = next(name for name in ("code", "begin", "end", "dollars", "open", "close") if match[name] is not None)
    return kind, match[kind] if kind in ("code", "begin", "end") else ""


def merged(steps: list[str], limit: int) -> list[str]:
    """At most ``limit`` steps: of more, neighbours evenly put together."""
    if len(steps) <= limit:
        return steps
    edges = [index * len(steps) // limit for index in range(limit + 1)]
    return ["".join(steps[a:b]) for a, b in pairwise(edges)]
