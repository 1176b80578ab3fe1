"""Is a mathematical answer right, and is it written where it was asked for? (math-verify)"""

from __future__ import annotations

import re
from dataclasses import dataclass

from raysgpo.records import Problem
from raysgpo.tasks.equal_answers import equal_answers
from raysgpo.tasks.final_answer import boxes, final_answers, spoken
from raysgpo.tasks.gold_answer import gold_answer
from raysgpo.tasks.task import Grade

_CLOSING = re.compile(r"(?:[\s$*.!]|\\[\])]|\\end\{[a-z]+\*?\})*")
"""What may follow the box: closing delimiters, emphasis and a full stop."""


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
    """Whether the answer that the response states equals the given one; without a stated answer it does not."""
    gold = gold_answer(answer)
    return any(equal_answers(gold, stated) for stated in final_answers(text))


def is_well_formed(text: str) -> bool:
    """Whether the response states its answer in the asked form.

    There is exactly one ``\\boxed{...}`` after the thinking, its braces balance, it is not empty, and
    only closing punctuation follows it. Whether the answer is right plays no part.
    """
    text = spoken(text)
    found = boxes(text)
    if len(found) != 1 or text.count(r"\boxed{") != 1 or found[0] is None or not found[0].strip():
        return False
    return bool(_CLOSING.fullmatch(text, text.index(found[0], text.index(r"\boxed{")) + len(found[0]) + 1))
