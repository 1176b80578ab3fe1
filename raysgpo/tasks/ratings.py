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
_NUMBER = r"(?:\d{1,4}(?:\.\d{1,6})?|\.\d{1,6})"
_VALUE = re.compile(
    rf"({_NUMBER})(?: ?(?:/|out of) ?10(?:\.0{{1,3}})?(?![.\d]*\d)"
    r"|(?= ?(?:$|[.,;:!?()]|(?:and|but|because|since|as|while|with)\b|[-–—](?! ?\d))))",  # noqa: RUF001
    re.IGNORECASE,
)
"""7, 7.5, 7/10 or 7 out of 10 that ends its phrase: no range, percentage, 7/100 or "7 points more"."""
_NAME = r"(?:(?i:the|this) )?(?i:response|candidate|solution|answer)"
_KEYS = re.compile(r"[\"']?\b(?i:(rating|score|response)_)([abAB])\b[\"']? ?[:=]?|[\"'](?i:response )?([AB])[\"'] ?:")
_NOTE = re.compile(r"\((?![AB]\))[^()\n]{0,60}\)(?=[ *_`]{0,4}[:=])")
_COMMAND = re.compile(r"\\(?:boxed|text|mathbf|,|;) ?")
_MARKS = str.maketrans({**dict.fromkeys('*_`$"{}[]\\', " "), "|": ":", "：": ":", "’": "'"})  # noqa: RUF001
_LETTER = re.compile(r"\(([AB])\)")
_BOX = re.compile(r"\\boxed\{([^{}]{0,40})\}[\s$*.!)]{0,8}$")
_RATED = r"([\d.]{1,12}(?: ?(?:/|out of) ?10)?)[ .:]{0,8}"
_LONE = re.compile(rf"[ :>]{{0,4}}(?:- )?{_RATED}")
_BARE = re.compile(rf"[ :>#-]{{0,4}}(?:(?i:ratings?|scores?) ?: ?)?(?:{_NAME} )?([AB]) ?[:=] ?{_RATED}")


def pair_ratings(text: str) -> tuple[float, float] | None:
    r"""v_A and v_B, each in [0, 10]; None where one of them is missing, unreadable or out of range.

    Both come from one form: "Rating A: 7", else "Score A: 7", else ``v_A = 7`` or ``{"A": 7}``, else the
    last lines ``A: 7`` and ``B: 3``, else a last ``\boxed{7, 3}``. The last of its kind counts, whether or
    not it can be read. What was thought before ``</think>`` does not count.
    """
    tail = _spoken(text)
    plain = _plain(tail)
    for claims in _PAIR_CLAIMS:
        found = [_claimed(pattern, plain) for pattern in claims]
        if found != [None, None]:
            return _both(found)
    return _both(_bare(plain)) or _both(_boxed(tail, 2))


def single_rating(text: str) -> float | None:
    """v in [0, 10] of the one response that was shown; None where it is missing, unreadable or out of range."""
    tail = _spoken(text)
    plain = _plain(tail)
    for pattern in _SINGLE_CLAIMS:
        if (value := _claimed(pattern, plain)) is not None:
            return _within(value)
    boxed = _boxed(tail, 1)
    alone = _LONE.fullmatch(plain.rpartition("\n")[2])
    return _within(boxed[0] if boxed else _value(alone[1]) if alone else None)


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
    """The end of the answer: nothing where it ends within its thinking."""
    answer = text.rpartition("</think>")[2]
    return "" if "<think>" in answer else answer[-_TAIL:]


def _plain(text: str) -> str:
    """The text without emphasis, quotes and notes in brackets, with single blanks, and keys spelled out."""
    text = _KEYS.sub(_spelled, _COMMAND.sub(" ", text))
    text = _LETTER.sub(r"\1", _NOTE.sub(" ", text))
    lines = (" ".join(line.split()) for line in text.translate(_MARKS).splitlines())
    return "\n".join(line for line in lines if line)


def _spelled(key: re.Match[str]) -> str:
    """``"rating_a":`` as ``Rating A:``, and ``"A":`` as ``v A:``."""
    kind, small, capital = key.groups()
    return f"{(kind or 'v').replace('response', 'v')} {(small or capital).upper()}:"


def _claim(label: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A label and what is said of it: behind a colon, in a line or at its end; or behind the word "is"."""
    said = r"(?=(?P<said>[^\n]{0,60}))"
    strong = rf"(?:{label})(?: ?[:=] ?\n?| [-–—] (?={_NUMBER})|[ \n](?={_NUMBER} ?\.?$)){said}"  # noqa: RUF001
    return re.compile(strong, re.MULTILINE), re.compile(rf"(?:{label}) is {said}", re.MULTILINE)


def _label(word: str, letter: str) -> str:
    """The letter is a capital, since a small one is an article, unless a colon follows."""
    rating, either = rf"(?<![A-Za-z])(?i:{word}s?)", rf"(?:{letter}\b|{letter.lower()}(?= ?[:=]))"
    named = rf"{rating} (?:(?i:of|for) )?(?:{_NAME} )?{either}"
    return rf"{named}|\b{letter}(?:'s)? (?i:{word})\b"


_PAIR_CLAIMS = [[_claim(_label(word, letter)) for letter in "AB"] for word in ("rating", "score")] + [
    [_claim(rf"\bv ?{letter}\b") for letter in "AB"]
]
_SINGLE_CLAIMS = [
    _claim(rf"(?<![A-Za-z])(?i:{word}s?)(?: (?i:of|for) {_NAME})?(?: A)?\b") for word in ("rating", "score")
]


def _claimed(claim: tuple[re.Pattern[str], re.Pattern[str]], text: str) -> float | None:
    """The value of the last claim; NaN where it cannot be read, None where there is no claim."""
    for pattern in claim:
        if claims := list(pattern.finditer(text)):
            value = _value(claims[-1]["said"])
            return math.nan if value is None else value
    return None


def _value(said: str) -> float | None:
    match = _VALUE.match(said)
    return float(match[1]) if match else None


def _bare(text: str) -> list[float | None]:
    """What the last two lines say of A and B, or the last line of both."""
    lines = text.split("\n")[-2:]
    together = re.split(r"[,;] ?(?=B\b)", lines[-1])
    found = {match[1]: _value(match[2]) for line in [*lines, *together] if (match := _BARE.fullmatch(line))}
    return [found.get(letter) for letter in "AB"]


def _boxed(text: str, count: int) -> list[float | None]:
    """The numbers of the box that ends the text, if it holds ``count`` of them; else nothing."""
    box = _BOX.search(text.rstrip()[-80:])
    parts = box[1].strip(" ()").split(",") if box else []
    values = [_value(re.sub(r"^[AB] ?[:=]", "", part.strip(" \\;")).strip()) for part in parts]
    return values if len(values) == count else []


def _both(found: list[float | None]) -> tuple[float, float] | None:
    values = [_within(value) for value in found]
    return None if len(values) < 2 or values[0] is None or values[1] is None else (values[0], values[1])


def _within(value: float | None) -> float | None:
    """The rating if it lies on the scale; a comparison with NaN is false."""
    return value if value is not None and 0 <= value <= HIGHEST else None
