"""Are two mathematical answers equal? Choice letters, words, numbers, lists, intervals and equations have rules of
their own, expressions go to math-verify. docs/tasks.md has the conventions.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import math_verify

from raysgpo.tasks.plain_math import plain, without_unit

RELATIVE = 1.000001e-6
"""Numbers are equal that differ by less than this part of the larger one: rounded to six digits or more."""
MOST_MEMBERS = 64
DEEPEST = 32
"""Brackets within brackets; an expression that is deeper is not worked out."""

_CHOICE = re.compile(r"\(?([A-J])(?:$|[).:,](?=$|\s|[A-Z])|\s+(?=[A-Za-z])(?!and\b|or\b))\s*(.*)", re.DOTALL)
_ALONE = re.compile(r"(?<![\w'])([A-J])(?![\w'])(?! [a-z])")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_WORDS = re.compile(r"(?:[^\W\d_]|[\s'’.,;:()!?&/-])+")  # noqa: RUF001
_PROSE = re.compile(r"[a-zA-Z]{3,}|[^\x00-\x7f]")
_FUNCTION = re.compile(r"^(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|pi|inf|infty)\b")
_NUMBER = re.compile(r"([+-]?)\s*(\d+\.?\d*|\.\d+)(?:\s*(?:[eE]|\\(?:times|cdot)\s*10\s*\^)\s*\{?\s*([+-]?\d+)\s*\}?)?")
_RATIO = re.compile(r"([+-]?)\s*(?:\\frac\{\s*([+-]?\d+)\s*\}\{\s*([+-]?\d+)\s*\}|(\d+)\s*/\s*(\d+))")
_POWER_OF_TEN = re.compile(r"([+-]?)\s*10\s*\^\s*\{?\s*([+-]?\d{1,4})\s*\}?")
_ENORMOUS = re.compile(
    r"\d\s*\^\s*\{?\s*\(?\d+\s*\^\s*\{?\s*\(?\d+\s*\^"  # a tower of powers
    r"|\^\s*\{?\s*\(?\s*-?\d{5}|\d[eE][+-]?\d{5}"  # an exponent of five digits
    r"|\d{5}\s*!|!\s*!"
)
"""Values that are not to be worked out: an answer equals one if it is written alike."""
_BASE = re.compile(r"([0-9A-Fa-f]+)_\{?(?:\\text\{)?\s*(\d+|two|three|four|five|six|seven|eight|nine|ten)\s*\}?\}?")
_NAME = re.compile(r"[A-Za-z\\(][A-Za-z\d\\_{}^(),':| ]{0,40}|\|[a-z]\|")
_OPERATORS = re.compile(r"[+*/<>-]|\\(?:times|cdot|frac|sqrt|ge|le|ne|in)\b|\^|\d\s*[a-z]|\\?%")
_EQUALS = re.compile(r"(?<![<>!:=\\])=(?!=)|\\equiv\b")
_VARIABLE = r"\s*([A-Za-z]|\\(?:theta|alpha|beta|lambda|mu|phi|omega))\s*"
_RELATION = r"(<|>|\\ge|\\le)"
_ONE_SIDED = (re.compile(rf"{_VARIABLE}{_RELATION}(.+)"), re.compile(rf"(.+?){_RELATION}{_VARIABLE}"))
_TWO_SIDED = re.compile(rf"(.+?){_RELATION}{_VARIABLE}{_RELATION}(.+)")
_MEMBER_OF = re.compile(rf"{_VARIABLE}\\in\b\s*(.+)")
_INTERVAL = re.compile(r"([\[(])(.+)([\])])", re.DOTALL)
_AND = re.compile(r"(?:\\text\{)?(?:^|(?<=[\s}{,;\d)]))\s*\b(?:and|or)\b\s*(?:\})?")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)[eE]([+-]?\d+)(?![\w.])")

# The grader has a deadline of its own, so the warning that there is none says nothing new.
logging.getLogger("math_verify").setLevel(logging.ERROR)


def equal_answers(gold: str, answer: str) -> bool:
    """Whether the answer is the gold one. Slow or endless on some expressions: call it behind a deadline."""
    return _equal(plain(gold), plain(answer))


def _equal(gold: str, answer: str) -> bool:
    if not gold or not answer:
        return False
    if gold == answer or gold.replace(" ", "") == answer.replace(" ", ""):
        return True
    for rule in _RULES:
        verdict = rule(gold, answer)
        if verdict is not None:
            return verdict
    return _same_expression(gold, answer)


def _choices(gold: str, answer: str) -> bool | None:
    """``C``, ``(C)``, ``C. 12``: the letter counts, or the option's text alone."""
    wanted = _CHOICE.fullmatch(_unwrapped(gold))
    if wanted is None:
        return None
    given = _CHOICE.fullmatch(_unwrapped(answer))
    if given is not None:
        return wanted[1] == given[1]
    letters = set(_ALONE.findall(answer)) if _PROSE.search(answer) else set()
    if len(letters) == 1:
        return letters == {wanted[1]}
    return bool(wanted[2]) and _letters(wanted[2]) == _letters(answer)


def _words(gold: str, answer: str) -> bool | None:
    """Words are equal up to case, spaces and full stops."""
    said = _unwrapped(gold)
    if _WORDS.fullmatch(said) is None or _PROSE.search(said) is None or _FUNCTION.match(said):
        return None
    return _letters(said) == _letters(answer)


def _bases(gold: str, answer: str) -> bool | None:
    """Digits in the same base; who leaves the base out means the one that was asked for."""
    wanted, given = _BASE.fullmatch(gold.replace(" ", "")), _BASE.fullmatch(answer.replace(" ", ""))
    if wanted is None and given is None:
        return None
    digits = [match[1] if match is not None else text.strip() for match, text in ((wanted, gold), (given, answer))]
    bases = {match[2] for match in (wanted, given) if match is not None}
    return len(bases) == 1 and digits[0].lower() == digits[1].lower()


def _units(gold: str, answer: str) -> bool | None:
    """A unit may be left out; two units are the same or the answer is wrong."""
    (wanted, unit), (given, other) = without_unit(gold), without_unit(answer)
    if (wanted, given) == (gold, answer):
        return None
    if unit and other and not (unit.startswith(other) or other.startswith(unit)):
        return False
    return _equal(wanted, given)


def _numbers(gold: str, answer: str) -> bool | None:
    wanted, given = number(gold), number(answer)
    if wanted is None or given is None:
        return None
    return abs(wanted - given) <= RELATIVE * max(abs(wanted), abs(given))


def _equations(gold: str, answer: str) -> bool | None:
    """A name on the left side may be left out, and differs if both have one; an equation is no value."""
    wanted, given = _sides(gold), _sides(answer)
    if wanted.name is None and given.name is None:
        if wanted.equation != given.equation:
            return False
        return _same_ends(gold, answer) if wanted.equation and _constant(gold) and _constant(answer) else None
    if wanted.name is not None and given.name is not None and wanted.name != given.name:
        return False
    return _equal(wanted.value, given.value)


def _constant(text: str) -> bool:
    """Whether it has no unknown: such equations are all true, and what they say is compared instead."""
    return re.search("[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", text)) is None


def _same_ends(gold: str, answer: str) -> bool:
    """Whether chains such as ``360 = 2^3 * 3^2 * 5`` begin and end with the same values."""
    (first, *_, last), (begin, *_, end) = _EQUALS.split(gold), _EQUALS.split(answer)
    return _equal(first.strip(), begin.strip()) and _equal(last.strip(), end.strip())


def _intervals(gold: str, answer: str) -> bool | None:
    """Intervals and inequalities of one variable, and unions of them."""
    wanted, given = _as_interval(gold), _as_interval(answer)
    unions = [_parts(r"\cup", side) for side in (wanted or gold, given or answer)]
    if all(len(parts) > 1 for parts in unions):
        return len(unions[0]) == len(unions[1]) and _matched(*unions)
    if any(len(parts) > 1 for parts in unions) or (wanted is None and given is None):
        return None
    first, second = (_INTERVAL.fullmatch(side) for side in (wanted or gold, given or answer))
    if first is None or second is None:
        return False
    return _same_interval(first, second)


def _lists(gold: str, answer: str) -> bool | None:
    """Lists and sets in any order, tuples and intervals in theirs; an open bracket is no closed one."""
    wanted, given = _members(gold), _members(answer)
    if wanted is None or given is None:
        several = [members for members in (wanted, given) if members is not None and len(members.members) > 1]
        return False if several else None
    if max(len(wanted.members), len(given.members)) > MOST_MEMBERS or len(wanted.members) != len(given.members):
        return False
    if len(wanted.members) == 1:
        return None if wanted.brackets == given.brackets == "" else _equal(wanted.members[0], given.members[0])
    if wanted.ordered or given.ordered:
        if not ({wanted.brackets, given.brackets} <= {"[]", ""} or wanted.brackets == given.brackets):
            return False
        return all(_equal(a, b) for a, b in zip(wanted.members, given.members, strict=True))
    return _matched(wanted.members, given.members)


_RULES: tuple[Callable[[str, str], bool | None], ...] = (
    _choices, _words, _bases, _numbers, _equations, _intervals, _lists, _units
)  # fmt: skip
"""The first that knows the kind decides."""


def number(text: str) -> Fraction | None:
    """The exact value of what is typed as a number: ``-3.50``, ``1.6\\times 10^{-19}``, ``\\frac{7}{2}``, ``7/2``."""
    text = text.strip().strip("{}").strip()
    if (ratio := _RATIO.fullmatch(text)) is not None:
        top, bottom = int(ratio[2] or ratio[4]), int(ratio[3] or ratio[5])
        return None if bottom == 0 else _signed(ratio[1], Fraction(top, bottom))
    if (power := _POWER_OF_TEN.fullmatch(text)) is not None:
        return _signed(power[1], Fraction(10) ** int(power[2]))
    match = _NUMBER.fullmatch(text)
    if match is None or len(match[3] or "") > 5:
        return None
    return _signed(match[1], Fraction(match[2]) * Fraction(10) ** int(match[3] or 0))


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign == "-" else value


def _unwrapped(text: str) -> str:
    return _TEXT.sub(r"\1", text).strip("$ ")


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", _unwrapped(text).casefold())


@dataclass(frozen=True, slots=True)
class _Sides:
    name: str | None
    value: str
    equation: bool = False


def _sides(text: str) -> _Sides:
    """``y = x^2`` has the name y; of ``z = 1 + 1 = 2`` the last value counts; ``2x + z = 1`` is an equation."""
    parts = [part.strip() for part in _EQUALS.split(text)]
    if len(parts) == 1 or any(not part for part in parts) or _top_level(",", text)[1:]:
        return _Sides(None, text)
    named = _NAME.fullmatch(parts[0]) is not None and _OPERATORS.search(parts[0]) is None and number(parts[0]) is None
    if not named:
        return _Sides(None, text, equation=True)
    return _Sides(re.sub(r"[\s{}]", "", parts[0]), parts[-1])


def _as_interval(text: str) -> str | None:
    """``x\\ge 3`` as ``[3,\\infty)``; an interval as it is; None for what is neither."""
    if (member := _MEMBER_OF.fullmatch(text)) is not None:
        return member[2].strip()
    both = _TWO_SIDED.fullmatch(text)
    if both is not None and {both[2], both[4]} <= {"<", r"\le"}:
        return f"{'(' if both[2] == '<' else '['}{both[1]},{both[5]}{')' if both[4] == '<' else ']'}"
    if (left := _ONE_SIDED[0].fullmatch(text)) is not None and not re.search(r"[<>]|\\[gl]e\b", left[3]):
        return _ray(left[2], left[3])
    if (right := _ONE_SIDED[1].fullmatch(text)) is not None and not re.search(r"[<>]|\\[gl]e\b", right[1]):
        return _ray({"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}[right[2]], right[1])
    return None


def _ray(relation: str, bound: str) -> str:
    bound = bound.strip()
    if relation in (">", r"\ge"):
        return rf"{'(' if relation == '>' else '['}{bound},\infty)"
    return rf"(-\infty,{bound}{')' if relation == '<' else ']'}"


def _same_interval(first: re.Match[str], second: re.Match[str]) -> bool:
    ends = [_top_level(",", match[2]) for match in (first, second)]
    if [len(end) for end in ends] != [2, 2] or (first[1], first[3]) != (second[1], second[3]):
        return False
    return all(_equal(a.strip(), b.strip()) for a, b in zip(*ends, strict=True))


@dataclass(frozen=True, slots=True)
class _Members:
    members: list[str]
    brackets: str

    @property
    def ordered(self) -> bool:
        return self.brackets not in ("", r"\{\}", "{}")


def _members(text: str) -> _Members | None:
    r"""``1, 2``, ``\{1, 2\}``, ``(1, 2)``, ``x = 1 \text{ or } x = 2``, ``\pm 3``; None for what is no list."""
    brackets, inside = "", text
    for opening, closing in (("(", ")"), ("[", "]"), (r"\{", r"\}"), ("{", "}"), ("[", ")"), ("(", "]")):
        if text.startswith(opening) and text.endswith(closing) and _encloses(text, len(opening), len(closing)):
            brackets, inside = opening + closing, text[len(opening) : len(text) - len(closing)]
            break
    parts = [part for piece in _top_level(",", _AND.sub(",", inside)) for part in _top_level(";", piece)]
    parts = [part.strip() for part in parts if part.strip()]
    members = list({signed.replace(" ", ""): signed for part in parts for signed in _both_signs(part)}.values())
    if brackets == "" and len(members) < 2:
        return None
    return _Members(members, brackets)


def _both_signs(text: str) -> list[str]:
    if text.count(r"\pm") != 1:
        return [text]
    return [text.replace(r"\pm", sign).lstrip("+ ") for sign in ("+", "-")]


def _encloses(text: str, opening: int, closing: int) -> bool:
    """Whether the first bracket is closed by the last one."""
    depth = 0
    for position, character in enumerate(text[: len(text) - closing]):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and position >= opening:
            return False
    return True


def _top_level(separator: str, text: str) -> list[str]:
    """The parts between the separators that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == separator and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _parts(separator: str, text: str) -> list[str]:
    return [part.strip() for part in text.split(separator)]


def _matched(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Whether each of one has its own equal in the other."""
    left = list(given)
    for member in wanted:
        found = next((index for index, other in enumerate(left) if _equal(member, other)), None)
        if found is None:
            return False
        del left[found]
    return not left


def _same_expression(gold: str, answer: str) -> bool:
    if any(_ENORMOUS.search(side) or _depth(side) > DEEPEST for side in (gold, answer)):
        return False
    wanted, given = _parsed(gold), _parse(answer)
    return bool(wanted and given) and bool(math_verify.verify(wanted, given, timeout_seconds=None, float_rounding=12))


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


@lru_cache(maxsize=4096)
def _parsed(gold: str) -> list[Any]:
    return _parse(gold)


def _parse(text: str) -> list[Any]:
    """math-verify's reading; it takes 1.6e-19 for 1.6 e - 19, so such numbers are written out first."""
    text = _SCIENTIFIC.sub(r"\1\\times 10^{\2}", text)
    return math_verify.parse(f"${text}$", parsing_timeout=None)
