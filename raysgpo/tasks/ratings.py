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
from collections.abc import Iterator

HIGHEST = 10.0
MIDDLE = HIGHEST / 2
LEAST_CHANCE = 0.01
"""Chances are kept within [0.01, 0.99], so that a confident mistake costs something finite."""
REWARD_RANGE = (math.log(LEAST_CHANCE), math.log(1 - LEAST_CHANCE))
COIN_FLIP = math.log(0.5)
"""The reward of ratings that say nothing: the least of an acceptable judgement (R_min_correct)."""

_TAIL = 4096
"""Characters at the end of a response in which its ratings are looked for."""
_MARKS = r"[\s*_`$|\"']*"
_NAME = r"(?i:response|candidate|solution|answer)"
_RATING = r"(?i:ratings?|scores?)"
_IS = rf"[\])}}]?{_MARKS}(?::|=|(?i:is)\b|[-–—](?=\s))?{_MARKS}"  # noqa: RUF001
_NUMBER = (
    r"(?<![\d.])(\d+(?:\.\d+)?|\.\d+)(?:\s*(?:/|(?i:out\s+of))\s*10(?:\.0+)?)?"
    r"(?!\d|\.\d|\s*%|\s*(?:[-–—/]|(?i:to|out\s+of)\b)\s*\d)"  # noqa: RUF001
)
"""7, 7.5, 7/10 or 7 out of 10; neither a range nor a percentage nor 7/100."""
_BOX = re.compile(r"\\boxed\{([^{}]*)\}")
_SINGLE = re.compile(rf"{_RATING}(?:\s+(?i:of|for)\s+(?:(?i:the|this)\s+)?{_NAME})?{_IS}{_NUMBER}")
_LONE_LINE = re.compile(rf"^[\s>*_#-]*{_NUMBER}[\s*_.]*$", re.MULTILINE)


def pair_ratings(text: str) -> tuple[float, float] | None:
    """v_A and v_B, each in [0, 10]; None where one of them is missing or out of range.

    Of several ratings of one response the last counts. What was thought before ``</think>`` does not.
    """
    tail = _spoken(text)
    found = [_last(_labelled(tail, label)) for label in "AB"]
    if found == [None, None]:
        found = _boxed(tail, 2) or found
    first, second = (None if value is None or value > HIGHEST else value for value in found)
    return None if first is None or second is None else (first, second)


def single_rating(text: str) -> float | None:
    """v in [0, 10] of the one response that was shown; None where it is missing or out of range."""
    tail = _spoken(text)
    value = _last(float(match[1]) for match in _SINGLE.finditer(tail))
    value = _last(_labelled(tail, "A")) if value is None else value
    if value is None:
        boxed = _boxed(tail, 1)
        value = boxed[0] if boxed else _last(float(match[1]) for match in _LONE_LINE.finditer(tail))
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


def _spoken(text: str) -> str:
    return text.rpartition("</think>")[2][-_TAIL:]


def _labelled(text: str, label: str) -> Iterator[float]:
    """The ratings that name the response, in their order: those that say rating, else bare lines ``A: 7``."""
    found = [float(match[1]) for match in _PATTERNS[label].finditer(text)]
    return iter(found or [float(match[1]) for match in _BARE[label].finditer(text)])


def _label_pattern(label: str) -> re.Pattern[str]:
    """The letter is a capital, since a small one is an article; in a key such as rating_a it may be small."""
    shown = rf"(?:{_NAME}[\s*_`]+)?[(\[]?{label}\b"
    return re.compile(
        rf"(?:{_RATING}[\s*_`]*(?:(?i:of|for)\s+)?(?:(?i:the)\s+)?{shown}"
        rf"|\b{_NAME}[\s*_`]+{label}(?:'s)?[\s*_`]+{_RATING}"
        rf"|\b(?i:rating|score)_{label.lower()}\b|\bv_?\{{?{label}\b|[\"']{label}[\"']\s*(?=:)){_IS}{_NUMBER}"
    )


def _bare_pattern(label: str) -> re.Pattern[str]:
    return re.compile(rf"^[\s>*_#-]*(?:{_NAME}\s+)?{label}[\s*_]*[:=][\s*_]*{_NUMBER}[\s*_.]*$", re.MULTILINE)


_PATTERNS = {label: _label_pattern(label) for label in "AB"}
_BARE = {label: _bare_pattern(label) for label in "AB"}


def _boxed(text: str, count: int) -> list[float | None] | None:
    """The numbers of the last box, if it holds ``count`` of them."""
    boxes = _BOX.findall(text)
    parts = [re.fullmatch(rf"\s*{_NUMBER}\s*", part) for part in boxes[-1].split(",")] if boxes else []
    return [float(part[1]) if part else None for part in parts] if len(parts) == count else None


def _last(values: Iterator[float]) -> float | None:
    return next(reversed(list(values)), None)
