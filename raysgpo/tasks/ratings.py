"""Ratings in free text, and what they are worth (CoRPO, arXiv 2511.04439, section 4.1).

A judgement explains, and rates each response it was shown from 0 (surely wrong) to 10 (surely right)::

    Rating A: 8
    Rating B: 3

The reward is the logarithm of the chance that the ratings give to the truth: the paper's binary
cross-entropy with its sign changed, so that more is better. How ratings become a chance, the clamp
and what an unreadable rating is worth are ours; the paper does not say.
"""

from __future__ import annotations

import math
import re

HIGHEST = 10.0
MIDDLE = HIGHEST / 2
LEAST_CHANCE = 0.01
"""Chances are kept within [0.01, 0.99], so that a confident mistake costs something finite."""
REWARD_RANGE = (math.log(LEAST_CHANCE), math.log(1 - LEAST_CHANCE))
COIN_FLIP = math.log(0.5)
"""The reward of ratings that say nothing: the least of an acceptable judgement (R_min_correct)."""

_TAIL = 4096
"""Characters at the end of a response in which its ratings are looked for."""
# The patterns read text without marks and with single blanks (see ``_plain``), and repeat nothing without
# a bound, so that no response can make them slow.
_NAME = r"(?:(?i:the|this) )?(?i:response|candidate|solution|answer)"
_RATING = r"(?i:ratings?|scores?)"
_IS = r"[ \n]?(?:[:=]|(?i:is)\b|[-–—](?= ))?[ \n]?"  # noqa: RUF001
_NUMBER = (
    r"(?<![\d.])(\d{1,4}(?:\.\d{1,6})?|\.\d{1,6})(?: ?(?:/|(?i:out of)) ?10(?:\.0{1,3})?)?"
    r"(?!\d|\.\d| ?%| ?(?:[-–—/]|(?i:to|out of)\b) ?\d)"  # noqa: RUF001
)
"""7, 7.5, 7/10 or 7 out of 10; neither a range nor a percentage nor 7/100."""
_MARKS = str.maketrans(dict.fromkeys("*_`$|\"'(){}[]", " "))
_KEY = re.compile(r"[\"']?\b(?i:rating|score)_([abAB])\b[\"']? ?[:=]?|[\"']([AB])[\"'] ?:")
_BOX = re.compile(r"\\boxed\{([^{}]{0,40})\}")
_SINGLE = re.compile(rf"{_RATING}(?: (?i:of|for) {_NAME})?{_IS}{_NUMBER}")
_LONE_LINE = re.compile(rf"^[ >#-]{{0,4}}{_NUMBER} ?\.?$", re.MULTILINE)


def pair_ratings(text: str) -> tuple[float, float] | None:
    """v_A and v_B, each in [0, 10]; None where one of them is missing or out of range.

    Of several ratings of one response the last counts. What was thought before ``</think>`` does not.
    """
    tail = text.rpartition("</think>")[2][-_TAIL:]
    plain = _plain(tail)
    found = [_last(_labelled(plain, label)) for label in "AB"]
    if found == [None, None]:
        found = _boxed(tail, 2) or found
    first, second = (None if value is None or value > HIGHEST else value for value in found)
    return None if first is None or second is None else (first, second)


def single_rating(text: str) -> float | None:
    """v in [0, 10] of the one response that was shown; None where it is missing or out of range."""
    tail = text.rpartition("</think>")[2][-_TAIL:]
    plain = _plain(tail)
    value = _last(_numbers(_SINGLE, plain))
    value = _last(_labelled(plain, "A")) if value is None else value
    if value is None:
        boxed = _boxed(tail, 1)
        value = boxed[0] if boxed else _last(_numbers(_LONE_LINE, plain))
    return None if value is None or value > HIGHEST else value


def pair_reward(first: float, second: float, second_is_right: bool) -> float:
    """ln of the chance of the truth, where B is right with p = (v_B - v_A + 10) / 20, clamped."""
    return _log_chance((second - first + HIGHEST) / (2 * HIGHEST), second_is_right)


def single_reward(rating: float, right: bool) -> float:
    """ln of the chance of the truth, where the response is right with p = v / 10, clamped."""
    return _log_chance(rating / HIGHEST, right)


def _log_chance(chance: float, happened: bool) -> float:
    chance = min(max(chance, LEAST_CHANCE), 1 - LEAST_CHANCE)
    return math.log(chance if happened else 1 - chance)


def _plain(text: str) -> str:
    """The text without emphasis, quotes, brackets and table rules, with single blanks, and keys spelled out."""
    text = _KEY.sub(lambda match: f"Rating {(match[1] or match[2]).upper()}:", text)
    lines = (" ".join(line.split()) for line in text.translate(_MARKS).splitlines())
    return "\n".join(line for line in lines if line)


def _labelled(text: str, label: str) -> list[float]:
    """The ratings that name the response, in their order: those that say rating, else bare lines ``A: 7``."""
    return _numbers(_PATTERNS[label], text) or _numbers(_BARE[label], text)


def _numbers(pattern: re.Pattern[str], text: str) -> list[float]:
    return [float(match[1]) for match in pattern.finditer(text)]


def _label_pattern(label: str) -> re.Pattern[str]:
    """The letter is a capital, since a small one is an article."""
    return re.compile(
        rf"(?:{_RATING}[ \n](?:(?i:of|for) )?(?:{_NAME} )?{label}\b"
        rf"|\b{_NAME} {label}(?: s)? {_RATING}\b|\bv ?{label}\b){_IS}{_NUMBER}"
    )


def _bare_pattern(label: str) -> re.Pattern[str]:
    return re.compile(rf"^[ >#-]{{0,4}}(?:{_NAME} )?{label} ?[:=] ?{_NUMBER} ?\.?$", re.MULTILINE)


_PATTERNS = {label: _label_pattern(label) for label in "AB"}
_BARE = {label: _bare_pattern(label) for label in "AB"}


def _boxed(text: str, count: int) -> list[float | None] | None:
    """The numbers of the last box, if it holds ``count`` of them."""
    boxes = _BOX.findall(text)
    parts = [re.fullmatch(_NUMBER, part.strip()) for part in boxes[-1].split(",")] if boxes else []
    return [float(part[1]) if part else None for part in parts] if len(parts) == count else None


def _last(values: list[float]) -> float | None:
    return values[-1] if values else None
