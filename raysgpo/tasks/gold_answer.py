"""The answer of a row of data: what of it is compared, and whether it can be."""

from __future__ import annotations

import re

from raysgpo.tasks.final_answer import MOST, boxes, final_answers

_MARKED = re.compile(r"^####[ \t]*[-+$€£]?\.?\d", re.MULTILINE)
_MATH = re.compile(r"\$\$?.+?\$\$?|\\\(.+?\\\)", re.DOTALL)
_TEXT = re.compile(r"\\(?:text\w*|mbox|mathrm|operatorname)\*?\s*\{[^{}]*\}|\\[a-zA-Z]+")
_WORD = re.compile(r"\b(?!and\b|or\b)[a-zA-Z]{2,}\b")


def gold_answer(answer: str) -> str:
    """What the answer boxes, or says behind ``####`` (GSM8K), if it does; else all of it."""
    stated = final_answers(answer) if any(boxes(answer)) or _MARKED.search(answer) else []
    return stated[-1] if stated else answer


def unreadable(answer: str) -> bool:
    """Whether no response can be compared with it: a sentence with several values, or an empty box."""
    if boxes(answer) or _MARKED.search(answer):
        return not final_answers(answer)
    values = _MATH.findall(answer.replace(r"\$", ""))
    words = _WORD.findall(_TEXT.sub(" ", _MATH.sub(" ", answer)))
    return len(answer) > MOST or (len(values) > 1 and len(words) > 1)
