r"""Reading a judge's verdict from what it wrote.

A judge is asked for ``\boxed{k}``, and models write many things. Trusted in this order: the last ``\boxed{...}`` or
answer tag, the last JSON object with a verdict, the last plain sentence, what is said of each step, a bare number as
the whole answer. Steps are numbered from 1; -1 and "no error" mean that none is wrong. Thinking between ``<think>``
tags is not the answer. A box that holds the problem's answer is no verdict, and two in one line are none. What the
judge quotes is not its own word, and a "no error" that it reports of others ("the student claims ...") is none. Where
a later statement says otherwise than the one that is trusted, the verdict is contradictory: a lost vote is better than
a steered one.
"""

from __future__ import annotations

import json
import re
from typing import Any

_END = 20_000
"""Characters: a verdict stands at the end."""
_NONE = -1
_NO_STEP = -2
"""A verdict that is there and names no number: unreadable."""

_MINUS = dict.fromkeys((0x2010, 0x2011, 0x2013, 0x2212, 0xFE63, 0xFF0D), "-")
"""Hyphens, dashes and minus signs that models write before a 1."""
_CHINESE = {word: str(number) for number, word in enumerate("一二三四五六七八九十", start=1)}
_CHINESE_STEP = re.compile(r"(?<=第)\s*([一二三四五六七八九十])\s*(?=步|个步骤)")
_THINK = re.compile(r"(?<![\"“`])(?<!> )[<\[](?P<close>/?)think(?:ing)?[>\]]", re.IGNORECASE)
_OBJECT = re.compile(r"\{\s*\"")
_QUOTE = re.compile(r"\"[^\"\n]{0,400}\"|“[^”\n]{0,400}”|(?<!`)`(?!`)[^`\n]{0,400}`(?!`)")
_HEADING = re.compile(r"^(#+ [^\n]*|\*\*[^*\n]+\*\*)[ \t]*\n\s*", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]+")
_VERDICT_WORDS = frozenset(
    "my the final overall verdict answer conclusion result output is in at so therefore thus hence first wrong "
    "incorrect erroneous error mistake step index boxed text".split()
)
_REPORTED = re.compile(
    r"\b(?:claim|assert|sa(?:id|ys)\b|wrote|writes|writing|instruct|ignor|inject|quot|tells\b|told\b|pretend|insist"
    r"|declare|demand)",
    re.IGNORECASE,
)

_ADJECTIVE = r"(?:wrong|incorrect|erroneous|invalid|faulty|flawed|mistaken|false)"
_MISTAKE = r"(?:errors?|mistakes?|flaws?)"
_FIRST = (
    rf"\b(?:first|earliest|1st) (?:[a-z]+ ){{0,2}}?(?:{_MISTAKE}|{_ADJECTIVE} (?:reasoning )?step|goes wrong"
    rf"|step (?:with|containing|that contains|that has) (?:an |a |the )?{_MISTAKE})\b"
)
_BETWEEN = r"(?:\W+(?!(?:not|no|none|before|after|until|till|than|unless|and|so|then|because|since)\b)[a-z]+\b){0,10}?"
_NUMBER = r"(-?\d{1,7})(?!\d|[.,]\d)"
_POSITIONS = [
    re.compile(pattern)
    for pattern in (
        rf"{_FIRST}{_BETWEEN}\W+step\b[ :=#(\[]*{_NUMBER}",
        rf"(?:{_FIRST}|\b(?:error|wrong|incorrect|erroneous) step\b)(?: (?:step|index|location|position|number|is))*"
        rf"[ :=#]*{_NUMBER}(?=,|[ )\]]*$)",
        rf"\bstep[ #]*{_NUMBER}[ ,()]+(?:(?:is|has|contains|makes|introduces|includes|holds|shows|with|where|clearly"
        rf"|the|also|therefore|thus|hence)\W+){{0,5}}{_FIRST}",
        rf"第一个(?:错误|出错|不正确)[^\d]{{0,12}}第 ?{_NUMBER} ?步",
        rf"第 ?{_NUMBER} ?步[^\d]{{0,6}}第一个(?:错误|出错|不正确)",
    )
]
_GOOD = r"(?:correct|right|valid|sound|accurate|fine)"
_NO_ERROR = re.compile(
    rf"\bno (?:[a-z]+ ){{0,2}}?{_MISTAKE}\b|\bno step (?:is|was) {_ADJECTIVE}|\bno {_ADJECTIVE} steps?\b"
    rf"|\b(?:no|none of the) steps? (?:contain|has|have)s? (?:an |any )?{_MISTAKE}"
    rf"|\bnone of the (?:\w+ )?steps (?:is|are|was|were) {_ADJECTIVE}"
    rf"|\bnot (?:contain|have|find|see|identify) any (?:[a-z]+ )?{_MISTAKE}|\bfree of {_MISTAKE}"
    rf"|\ball (?:of )?(?:the )?(?:\w+ )?(?:steps )?(?:are|were) (?:[a-z]+ )?{_GOOD}\b"
    rf"|\b(?:every|each) (?:single )?step (?:is|was) (?:[a-z]+ )?{_GOOD}\b"
    rf"|\b(?:solution|reasoning|derivation|proof) is (?:(?:entirely|fully|completely|all) )?{_GOOD}\b"
    rf"|{_FIRST}[ :=]*(?:is )?(?:none|null|n/a)\b|(?:没有|未)(?:发现)?(?:任何)?错误|所有步骤(?:都是?|均)?正确"
)
_QUALIFIED = re.compile(
    r"\bsteps? (?:\d|one\b|two\b|three\b|four\b|five\b|six\b)|\b(?:first|second|third|fourth|fifth|last|final) steps?\b"
    r"|\bthere\b(?! (?:is|are|was|were)\b)|\bthis (?!solution|response|proof|derivation|reasoning|student)"
    r"|\b(?:here|before|until|till|up to|so far|prior"
    r"|earlier|previous|preceding|other|otherwise|rest|remaining|except|besides|apart|if|whether|would|not all"
    r"|not every|not true|but|although|yet|unless)\b"
)
"""Words that make a "no error" one of a part of the solution only, or a condition."""
_PROBLEM_S_ANSWER = re.compile(
    r"\b(?:(?:correct(?:ed)?|right|true|actual|expected|reference|proper|student's)(?: final)? "
    r"(?:answer|result|value|solution)"
    r"|(?:final )?(?:answer|result) (?:is indeed|(?:should|would|must) (?:be|have been)|(?:of|to) the problem))\b"
    r"[^\n\\]{0,40}?(?:\\f?boxed\s?\{[^{}\n]{0,80}\}|\n|$)",
    re.IGNORECASE | re.MULTILINE,
)
"""The answer that the judge comes to itself, up to its box."""
_TAG = re.compile(
    r"<(?:answer|verdict|first_error|step)>\s*([^<>\n]{1,40}?)\s*</(?:answer|verdict|first_error|step)>", re.I
)
_ONE_STEP = re.compile(r"\bstep ?\d")
_ASIDE = re.compile(r" ?\((?:index|0-based|zero-based|counting from)[^)]{0,40}\)")
_LABELLED = re.compile(
    r"^[ \t*#>-]*(?:my |the )?(?:final )?(?:verdict|answer|(?:first )?error location|location of the (?:first )?error)"
    r"[*]*[ \t]*[:=][*]*[ \t]*((?:step )?-?\d{1,7})[.* \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_CALLED_WRONG = re.compile(
    rf"\bstep[ #]*(\d{{1,7}})(?:\s*[:,.)-]+\s*|\s+)"
    rf"(?:(?:this |it )?(?:is|was|contains|has|makes)\s+(?:(?:clearly|an?|the|also)\s+)*)?"
    rf"(?:{_ADJECTIVE}\b|{_MISTAKE}\b|not (?:correct|right|valid|true)\b|wrong\b)"
)
_HEDGED = re.compile(
    r"\bstep[ #]*\d+[ ,]*(?:or|and/or|/)[ ,]*(?:step[ #]*)?\d|\b(?:might|may|could|perhaps|maybe|possibly|not sure)\b"
)
_MARKUP = re.compile(r"\\[a-zA-Z]+|\\[,;:! ]|[\\{}$*~\"'`()\[\]]")
_INDEX = re.compile(r"(?:the )?(?:(?:step|paragraph|index|k|第) ?[#:=]? ?)?(-?) ?(\d{1,7})(?:\.0)? ?步?")
_NONE_WORDS = frozenset(
    "none|null|n/a|no error|no errors|no mistake|no mistakes|no wrong step|no error found|no errors found|"
    "all correct|all steps are correct|all steps correct|无|没有|没有错误".split("|")
)
_KEYS = frozenset(
    "first_error first_error_step first_error_index first_error_location first_wrong first_wrong_step "
    "first_incorrect_step first_mistake first_mistake_step error_step error_index error_location wrong_step "
    "incorrect_step mistake_step".split()
)
_STEP_KEYS = frozenset("step step_number index position location k".split())
_VERDICT_KEYS = frozenset("verdict answer result".split())
_RIGHT = ("correct", "right", "valid")
_WRONG = ("incorrect", "wrong", "invalid", "error")


def read_verdict(text: str, steps: int) -> int | None:
    """The 0-based index of the first wrong step of ``steps``, ``steps`` if none is wrong.

    None for no verdict, a contradictory one, one that names no step of the response, and an answer
    that ends within its thinking. Never raises; linear in the length of the text.
    """
    number = named_number(text)
    return None if number is None else position_of(number, steps)


def named_number(text: str) -> int | None:
    """The number that a verdict names, as it stands there: 0 too, which names no step of those that are counted from 1.

    -1 for "no error"; None for no verdict, a contradictory one, and an answer that ends within its thinking.
    """
    answer = _spoken(text)
    if answer is None:
        return None
    answer = _CHINESE_STEP.sub(lambda word: _CHINESE[word[1]], answer[-_END:].translate(_MINUS))
    number = _verdict(answer)
    return None if number == _NO_STEP else number


def position_of(number: int, steps: int, first: int = 1) -> int | None:
    """The 0-based position that a named number stands for where ``first`` is the number of the first step; ``steps``
    for -1, and None for a number that no step has."""
    if number == _NONE:
        return steps
    return number - first if first <= number < first + steps else None


def _verdict(answer: str) -> int:
    """The 1-based number that the answer comes to, _NONE or _NO_STEP."""
    objects = _objects(answer)
    prose = answer
    for start, end, _ in objects:
        prose = prose[:start] + " " * (end - start) + prose[end:]
    boxes = _boxes(prose)
    if len(boxes) > 1 and "\n" not in prose[boxes[-2][1] : boxes[-1][0]] and boxes[-2][2] != boxes[-1][2]:
        return _NO_STEP
    for found in (boxes, objects):
        if found:
            _, end, index = found[-1]
            later = [other for start, _, other in objects if start >= end] + _sentences(prose[end:])
            return index if not later or later[-1] == index else _NO_STEP
    sentences = _sentences(prose)
    if sentences:
        return sentences[-1]
    labelled = _LABELLED.findall(_own_words(prose))
    if labelled:
        return _index(labelled[-1])
    called = _first_called_wrong(prose)
    return _index(answer) if called == _NO_STEP else called


def _first_called_wrong(text: str) -> int:
    """The first step that the judge calls wrong, one step after the other; _NO_STEP where it calls none so, or is not
    sure."""
    own = re.sub(r"[*_#$`]+", "", _own_words(text).lower())
    if _HEDGED.search(own):
        return _NO_STEP
    wrong = [int(number) for number in _CALLED_WRONG.findall(own)]
    return min(wrong, default=_NO_STEP)


def _spoken(text: str) -> str | None:
    """The text without its thinking; None if it ends within it.

    The opening tag may be missing (chat templates write it). One that is never closed and stands
    within a line is taken for a quoted one.
    """
    parts: list[str] = []
    start, opened = 0, -1
    for tag in _THINK.finditer(text):
        if tag["close"]:
            if opened < 0:
                parts.clear()
            else:
                parts.append(text[start:opened])
            start, opened = tag.end(), -1
        elif opened < 0:
            opened = tag.start()
    line = text[max(start, text.rfind("\n", start, opened) + 1) : opened] if opened >= 0 else "closed"
    return "".join([*parts, text[start:]]) if line.strip() else None


def _boxes(text: str) -> list[tuple[int, int, int]]:
    r"""(start, end, number) of every ``\boxed{...}`` in the judge's own words, in order."""
    own = _own_words(text)
    own = _PROBLEM_S_ANSWER.sub(lambda answer: " " * len(answer[0]), own)
    own = _TAG.sub(_as_box, own)
    last = len(own.rstrip(" \n\r\t.*$)]}`"))
    found: list[tuple[int, int, int]] = []
    for match in re.finditer(r"\\f?boxed\s{0,8}\{", own):
        end = _closing(own, match.end())
        index = _NO_STEP if end is None else _index(own[match.end() : end - 1])
        end = match.end() if end is None else end
        # The last line of an answer is the verdict, whatever else it says.
        if index != _NONE or end >= last or not _is_reported(own, match.start(), end):
            found.append((match.start(), end, index))
    return found


def _as_box(tag: re.Match[str]) -> str:
    """``<answer>3</answer>`` as a box of the same length."""
    return rf"\boxed{{{tag[1].strip()}}}".ljust(len(tag[0]))


def _closing(text: str, start: int) -> int | None:
    """Where the brace that was opened before ``start`` has been closed; what is boxed is short."""
    depth = 1
    for position in range(start, min(start + 200, len(text))):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return None


def _objects(text: str) -> list[tuple[int, int, int]]:
    """(start, end, number) of every JSON object that gives a verdict, in order."""
    found: list[tuple[int, int, int]] = []
    decoder, after = json.JSONDecoder(), 0
    for match in list(_OBJECT.finditer(text))[-200:]:
        if match.start() < after:
            continue
        try:
            value, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        after = end
        index = _object_index(value)
        if index is None or _is_quoted(text, match.start()):
            continue
        if index != _NONE or not _is_reported(text, match.start(), end):
            found.append((match.start(), end, index))
    return found


def _object_index(value: dict[str, Any]) -> int | None:
    """The number in an object, else in an object within it; None if there is no key for one."""
    for candidate in (value, *(inner for inner in value.values() if isinstance(inner, dict))):
        named = {re.sub(r"[\s-]+", "_", key.strip().lower()): field for key, field in candidate.items()}
        word = str(named.get("verdict", ""))[:20].strip().lower()
        for keys in (_KEYS, _STEP_KEYS, _VERDICT_KEYS):
            said = {_value_index(field) for key, field in named.items() if key in keys}
            if said and word in _RIGHT:
                said.add(_NONE)
            if len(said) > 1:
                said.discard(_NO_STEP)
            if said == {_NONE} and word in _WRONG:
                return _NO_STEP
            if said and (keys is not _VERDICT_KEYS or said != {_NO_STEP}):
                return said.pop() if len(said) == 1 else _NO_STEP
    return None


def _value_index(value: object) -> int:
    if value is None:
        return _NONE
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e7:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return _NO_STEP
    return _index(value[:200] if isinstance(value, str) else str(value) if abs(value) < 10**7 else "")


def _index(text: str) -> int:
    r"""The number in the inside of a box or a string: ``3``, ``\text{Step 3}``, ``-1``, ``no error``."""
    if len(text) > 200:
        return _NO_STEP
    bare = _MARKUP.sub(" ", text).lower()
    words = " ".join(bare.split()).rstrip(" .。!")
    if words in _NONE_WORDS:
        return _NONE
    match = _INDEX.fullmatch(words)
    if match is None:
        return _NO_STEP
    return int(match[2]) if not match[1] else _NONE if int(match[2]) == 1 else _NO_STEP


def _sentences(text: str) -> list[int]:
    """The numbers that the plain sentences name, in order; _NO_STEP for one that contradicts itself."""
    text = _HEADING.sub(r"\1: ", _own_words(text))
    text = re.sub(r"[*_#$`\\{}\"'“”]+", " ", re.sub(r":[*_ ]*\n\s*", ": ", text))
    found: list[int] = []
    for line in re.split(r"[\n。！？]", text):  # noqa: RUF001
        one_step = False
        for clause in re.split(r"[.!?](?=\s|$)|;", line):
            words = " ".join(clause.lower().split())
            one_step = one_step or _ONE_STEP.search(words) is not None
            said = _said(words, one_step)
            if said:
                found.append(said.pop() if len(said) == 1 else _NO_STEP)
            elif found and found[-1] == _NONE and _ONE_STEP.search(words):
                found.pop()  # it was said of the step before: the judge goes on with another one
    return found


def _said(words: str, one_step: bool) -> set[int]:
    """What a clause says; a "no error" after a step was named speaks of that step."""
    words = _ASIDE.sub("", words)
    said = {int(match[1]) for pattern in _POSITIONS for match in pattern.finditer(words)}
    called = {int(number) for number in _CALLED_WRONG.findall(words)}
    if said and len(called) == 1:  # of the steps that the clause names, the one that it calls wrong
        said = called
    if _NO_ERROR.search(words) and not (one_step or _QUALIFIED.search(words) or _REPORTED.search(words)):
        said.add(_NONE)
    return said


def _own_words(text: str) -> str:
    """The text with quotations blanked out, as long as before.

    A quotation stays where the rest of its line only introduces it, as in: Final verdict: "Step 3".
    """
    lines = []
    for line in text.split("\n"):
        unquoted = _QUOTE.sub(lambda quote: " " * len(quote[0]), line)
        if line.lstrip().startswith(">"):
            line = " " * len(line)
        elif not _VERDICT_WORDS.issuperset(_WORD.findall(unquoted.lower())):
            line = unquoted
        lines.append(line)
    return "\n".join(lines)


def _is_reported(text: str, start: int, end: int) -> bool:
    """Whether the line says, near that part of it, that the part is somebody else's word."""
    before = text[max(0, start - 200) : start].rpartition("\n")[2]
    return _REPORTED.search(before + " " + text[end : end + 200].partition("\n")[0]) is not None


def _is_quoted(text: str, start: int) -> bool:
    """Whether what starts there, and has quotation marks of its own, stands within a quotation."""
    line = text[max(0, start - 200) : start].rpartition("\n")[2]
    return line.endswith(('"', "“")) or line.lstrip().startswith(">")
