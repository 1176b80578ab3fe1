"""Is a mathematical answer right, and is it written where it was asked for? (math-verify)"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import math_verify

from raysgpo.records import Problem
from raysgpo.tasks.task import Grade

_TAIL = 4096
"""Characters at the end of a response in which its answer is looked for; the extraction is quadratic."""
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)[eE]([+-]?\d+)(?![\w.])")
_BOX = r"\boxed{"
_CLOSING = re.compile(r"(?:[\s$*.!]|\\[\])]|\\end\{[a-z]+\*?\})*")
"""What may follow the box: closing delimiters, emphasis and a full stop."""

# We bring our own deadline, so its warning that there is none says nothing new.
logging.getLogger("math_verify").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class MathGrading:
    """Grades an answer against ``problem.answer``; small, so that it pickles without the data set.

    Slow or endless on some answers (a tower of powers): call it behind a deadline. math-verify's own
    time-outs are off, because they are signals, which only a main thread may take.
    """

    format_reward: float = 0.0

    def __call__(self, problem: Problem, text: str) -> Grade:
        correct = is_correct(problem.answer, text)
        parts = {"correctness": float(correct)}
        if self.format_reward > 0:
            parts["format"] = self.format_reward if is_well_formed(text) else 0.0
        return Grade(correct=correct, parts=parts)


def is_correct(answer: str, text: str) -> bool:
    """Whether the response's final answer equals the given one, as numbers, sets, expressions or words.

    math-verify finds the final answer: a box, a phrase such as "the answer is", else the last
    expression. What was thought before ``</think>`` is no answer. It reads neighbouring boxes as one
    set; they may as well be a mistake and its correction, so the last box alone is tried too.
    """
    tail = spoken(text)[-_TAIL:]
    readings = [tail, tail[tail.rindex(_BOX) :]] if tail.count(_BOX) > 1 else [tail]
    gold = _gold(answer)
    return any(math_verify.verify(gold, _parse(reading), timeout_seconds=None) for reading in readings)


def is_well_formed(text: str) -> bool:
    """Whether the response states its answer in the asked form.

    There is exactly one ``\\boxed{...}`` after the thinking, its braces balance, it is not empty, and
    only closing punctuation follows it. Whether the answer is right plays no part.
    """
    text = spoken(text)
    if text.count(_BOX) != 1:
        return False
    start = text.index(_BOX) + len(_BOX)
    end = _closing_brace(text, start)
    return end is not None and bool(text[start:end].strip()) and bool(_CLOSING.fullmatch(text, end + 1))


def spoken(text: str) -> str:
    """The response without what was thought before it."""
    return text.rpartition("</think>")[2]


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return None


@lru_cache(maxsize=4096)
def _gold(answer: str) -> list[Any]:
    answer = answer.replace(r"\$", "")  # money, not mathematics
    return _parse(answer if "$" in answer else f"${answer}$")


def _parse(text: str) -> list[Any]:
    """math-verify's reading; it takes 1.6e-19 for 1.6 e - 19, so such numbers are written out first."""
    return math_verify.parse(_SCIENTIFIC.sub(r"\1\\times 10^{\2}", text), parsing_timeout=None)
