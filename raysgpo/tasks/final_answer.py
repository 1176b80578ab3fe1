r"""Where a response states its final answer: the last box, else an answer tag, else an answer phrase. Never a number in
passing, nothing within the thinking, and no earlier box where the last one is empty or was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST = 2_000
"""Characters; what is longer is no answer."""

_THINK = re.compile(r"<(?P<close>/?)think(?:ing)?>")
_BOX = re.compile(r"\\(?:f|frame)?box(?:ed)?\s*(?:\{|(?P<bare>\d+|[A-Za-z])(?![\w{]))")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_JOINED = re.compile(r"[\s$,;.&]|\\[()\[\],;:! ]|\\(?:quad|qquad)|(?:\\text\{)?\s*\b(?:and|or)\b\s*\}?")
"""What may stand between boxes that together are one answer."""
_TAG = re.compile(
    r"<answer>(?P<tag>(?:(?!</?answer>).){0,2000})</answer>|^####[ \t]*(?P<hashes>[-+$€£]?\.?\d[^\n]*)$",
    re.DOTALL | re.MULTILINE,
)
_PHRASE = re.compile(
    r"(?:\b(?:answer|solution)[*_ ]*(?:\([a-z]\) )?"
    r"(?:(?:is|was|are|equals|would be|should be|to the problem is|must be)\b|[:=])+[*_:]*"
    r"|\bréponse\b[ *]*(?:est\b|:)|(?:答案|答)[*]*(?:是|为|\uff1a|:))[ \t]*\n?(?P<said>[^\n]+)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"\s*\(?([A-J])\)?(?:[.):,]|\s*$)")
"""A response that begins with the letter of a choice."""
_FINAL = re.compile(r"\bfinal\s*$", re.IGNORECASE)
_END = re.compile(r"[.!?。](?=\s|$)|<\|| I hope\b|\\n")
_SAID_OF = re.compile(r".*(?:\b(?:is|are|was|equals|be)\b|=)\s*(?P<value>[^=]+)$", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_DENIED = re.compile(r"\s*(?:not|never|neither|between|either|unknown|unclear|no\b)", re.IGNORECASE)


def final_answers(text: str) -> list[str]:
    """What the response states as its answer, in each way to read it; nothing if it states none.

    Linear in the length of the text.
    """
    text = spoken(text)
    if found := _boxes(text):
        last = found[-1][2]
        return [] if last is None or not last.strip() else [last, *_joined(text, found)]
    for tag in reversed(list(_TAG.finditer(text))):
        return [value] if (value := (tag["tag"] or tag["hashes"] or "").strip()) else []
    phrases = list(_PHRASE.finditer(text))
    if phrases:
        return list(dict.fromkeys(_stated(text, phrases[-1])))
    letter = _LETTER.match(text)
    return [letter[1]] if letter is not None else []


def spoken(text: str) -> str:
    """The response without what was thought: a block that is still open is thinking to its end."""
    parts: list[str] = []
    start, thinking = 0, False
    for tag in _THINK.finditer(text):
        if tag["close"]:
            if not thinking:  # it began in the prompt
                parts.clear()
            start, thinking = tag.end(), False
        elif not thinking:
            parts.append(text[start : tag.start()])
            thinking = True
    return " ".join([*parts, "" if thinking else text[start:]])


def boxes(text: str) -> list[str | None]:
    """The inside of every box, in order; None for one that was cut off."""
    return [inside for _, _, inside in _boxes(text)]


def _boxes(text: str) -> list[tuple[int, int, str | None]]:
    """(start, end, inside) of every outermost box."""
    found: list[tuple[int, int, str | None]] = []
    after = 0
    while (match := _BOX.search(text, after)) is not None:
        if match["bare"] is not None:
            after, inside = match.end(), match["bare"]
        else:
            end = _closing(text, match.end())
            after, inside = (len(text), None) if end is None else (end + 1, text[match.end() : end])
        found.append((match.start(), after, inside))
        if inside is None:  # what follows stands within it, and may hold further boxes: none of them is an answer
            break
    return [(start, end, _innermost(inside)) for start, end, inside in found]


def _innermost(inside: str | None) -> str | None:
    """A box in a box is one box."""
    if inside is None or len(inside) > MOST:
        return None
    nested = _BOX.match(inside.strip())
    if nested is None or nested["bare"] is not None:
        return inside
    end = _closing(inside.strip(), nested.end())
    return None if end is None else inside.strip()[nested.end() : end] + inside.strip()[end + 1 :]


def _closing(text: str, start: int) -> int | None:
    depth = 1
    for match in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return None


def _joined(text: str, found: list[tuple[int, int, str | None]]) -> Iterator[str]:
    """The last boxes that stand beside each other, as one list."""
    parts = [found[-1][2] or ""]
    for (_, end, inside), (start, _, _) in zip(reversed(found[:-1]), reversed(found[1:]), strict=True):
        between = text[end:start]
        if inside is None or len(between) > 80 or _JOINED.sub("", between):
            break
        parts.insert(0, inside)
    if len(parts) > 1:
        yield ", ".join(parts)


def _stated(text: str, phrase: re.Match[str]) -> Iterator[str]:
    """What an answer phrase says: all of it; where it is a sentence, the value that it says something is."""
    said = phrase["said"][:MOST]
    if _DENIED.match(said):
        return
    end = _END.search(said)
    said = said[: end.start()] if end is not None else said
    yield said
    if (clause := re.split(r",(?=\s+[a-z])", said)[0]) != said:
        yield clause
    value = _SAID_OF.match(said)
    if value is not None and len(value["value"]) < 100:
        yield value["value"]
    elif _FINAL.search(text, max(0, phrase.start() - 10), phrase.start()) or said.count("$") == 2:
        numbers = _NUMBER.findall(said)
        if len(numbers) == 1:
            yield numbers[0]
