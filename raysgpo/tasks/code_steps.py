"""Cutting a response with code into reasoning steps without losing a character.

Outside of fences it is cut as every response (``reasoning``); the lines of a fence behind the thinking, or all of a
response that is bare Python, are cut further, to one of three sizes:

- ``functions``: before each function, class and method, and where the top level goes on behind one;
- ``blocks``: there, and within functions before each compound statement, behind it, and behind a blank line;
- ``lines``: before each line, where a line that goes on in the next is one.

Nothing is parsed: code that was cut off, or is wrong, is cut as well. What opens a fence stays with its first step and
what closes it with the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from raysgpo.tasks.code_text import Span, fences, parsed, spoken
from raysgpo.tasks.reasoning import merged, split_steps

Size = Literal["functions", "blocks", "lines"]

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)' r"|'''(?:\\.|[^\\])*?(?:'''|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?' r"|'(?:\\.|[^'\\\n])*'?" r"|#[^\n]*|[()\[\]{}]|\\\n|\n",
    re.DOTALL,
)  # fmt: skip
_DEFINITION = re.compile(r"(?:async[ \t]+)?def\b|class\b|@")
_COMPOUND = re.compile(r"(?:if|for|while|with|try|match|async)\b")
_GOES_ON = re.compile(r"(?:elif|else|except|finally|case)\b")
_STRING = re.compile(r"[rbuRBU]{0,2}[\"']")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that may go on over several."""

    start: int
    indent: int
    text: str
    after_blank: bool


def split_code(text: str, size: Size, limit: int) -> list[str]:
    """At most ``limit`` steps: of more, neighbours are merged evenly."""
    behind = len(text) - len(spoken(text))
    found = [(a + behind, b + behind) for _, (a, b), _ in fences(text[behind:])]
    if not found and parsed(text[behind:]) is not None:
        found = [(behind, len(text))]
    prose = accumulate(map(len, split_steps(text, len(text) + 1)))
    cuts = {cut for cut in prose if not any(a < cut < b for a, b in found)}
    for span in found:
        cuts |= set(_cuts(text, span, size))
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(text)), len(text)]
    return merged([text[a:b] for a, b in pairwise(edges)] if text else [], limit)


def _cuts(text: str, span: Span, size: Size) -> Iterator[int]:
    """Where steps begin within the span, its start excepted."""
    start, end = span
    lines = list(_lines(text[start:end]))
    if not lines:
        return
    chosen = (line.start for line in lines) if size == "lines" else _outlines(lines, blocks=size == "blocks")
    yield from (start + at for at in chosen if at > lines[0].start)


def _outlines(lines: Sequence[_Line], *, blocks: bool) -> Iterator[int]:
    """Starts of functions; with ``blocks`` also of what their bodies and the top level consist of."""
    headers: list[tuple[int, bool]] = []  # (indent, is it a definition?) of what the line stands in
    siblings: dict[int, str] = {}  # the line before it in each body that is open, by the body's indent
    before = 0
    for line in lines:
        while headers and line.indent <= headers[-1][0]:
            headers.pop()
        siblings = {indent: text for indent, text in siblings.items() if indent <= line.indent}
        sibling = siblings.get(line.indent)
        defines = _DEFINITION.match(line.text) is not None
        if sibling is not None and all(is_definition for _, is_definition in headers):
            parts = blocks and not _STRING.match(sibling)
            begins = defines or _DEFINITION.match(sibling) is not None
            begins = begins or (
                parts and (before > line.indent or line.after_blank or _COMPOUND.match(line.text) is not None)
            )
            if begins and not sibling.startswith("@") and not _GOES_ON.match(line.text):
                yield line.start
        if defines or _COMPOUND.match(line.text) or _GOES_ON.match(line.text):
            headers.append((line.indent, defines))
        siblings[line.indent] = line.text
        before = line.indent


def _lines(code: str) -> Iterator[_Line]:
    """Lines with something on them; one within brackets or a text goes on."""
    ends = [-1, *_ends(code)]
    blank = False
    for before, end in pairwise([*ends, len(code)]):
        text = code[before + 1 : end]
        body = text.lstrip(" \t")
        if not body.strip():
            blank = True
            continue
        indent = len(text) - len(body)
        yield _Line(before + 1, len(text[:indent].expandtabs(8)), body, blank)
        blank = False


def _ends(code: str) -> Iterator[int]:
    """Newlines that end a line."""
    depth = 0
    for token in _TOKEN.finditer(code):
        said = token[0]
        if said in "([{":
            depth += 1
        elif said in ")]}":
            depth = max(depth - 1, 0)
        elif said == "\n":
            # In code that is wrong a bracket may never close: what only begins a statement ends it.
            if depth and _DEFINITION.match(code, token.end()):
                depth = 0
            if not depth:
                yield token.start()
