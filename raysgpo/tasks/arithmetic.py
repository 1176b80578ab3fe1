"""Chained arithmetic: a generated task whose every reasoning step can be checked by rule.

The problem ``3+4-2=?`` has one solution, a step a line and then the answer line::

    3+4=7
    7-2=5
    #### 5

A reasoning step is one line, its newline included. The answer line counts as a step, so a chain of
n terms has n steps. The answer is the plain value: taken modulo 10, one guess in ten would be right
and wrong reasoning would be rewarded.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.task import Grade
from raysgpo.tasks.turns import behind, instructed

ANSWER_MARK = "#### "
_ANSWER_LINE = re.compile(r"#### (0|-?[1-9][0-9]*)")
_HELD_OUT_SHARE = 8
"""One chain in this many is held out."""
MOST_MISSES = 2000
"""Draws in a row without a new problem after which there are no more to be had."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Terms joined by operators and worked from the left: ``Chain((3, 4, 2), "+-")`` is 3+4-2."""

    terms: tuple[int, ...]
    operators: str
    """One character a join, so one fewer than the terms."""

    def __post_init__(self) -> None:
        assert len(self.operators) == len(self.terms) - 1, "a chain has one operator between two terms"

    @property
    def expression(self) -> str:
        """The chain as mathematics writes it: a sum that is multiplied stands in brackets."""
        text = str(self.terms[0])
        is_sum = False
        for operator, term in zip(self.operators, self.terms[1:], strict=True):
            if operator == "*" and is_sum:
                text = f"({text})"
            is_sum = operator != "*"
            text = f"{text}{operator}{term}"
        return text

    @property
    def held_out(self) -> bool:
        """Whether the chain is kept from all training, whatever the seed.

        It follows from the expression alone, so that neither another seed nor the supervised data of
        the tiny policy ever shows a held-out chain.
        """
        return derive_seed("arithmetic held out", self.expression) % _HELD_OUT_SHARE == 0

    def values(self, slip: Callable[[int], int] = int) -> list[int]:
        """The running values, without the first term. Each true one passes through ``slip``, which
        may replace it; the next is worked out from what came back."""
        values = [self.terms[0]]
        for operator, term in zip(self.operators, self.terms[1:], strict=True):
            values.append(slip(_apply(operator, values[-1], term)))
        return values[1:]

    def solution(self, slip: Callable[[int], int] = int) -> str:
        """The worked solution; with ``slip``, a wrong one that is carried on from its mistakes."""
        values = [self.terms[0], *self.values(slip)]
        lines = [
            f"{before}{operator}{term}={after}"
            for (before, after), operator, term in zip(pairwise(values), self.operators, self.terms[1:], strict=True)
        ]
        return "\n".join([*lines, f"{ANSWER_MARK}{values[-1]}"])

    def problem(self) -> Problem:
        size = len(self.terms)
        return Problem(
            id=f"arithmetic {self.expression}",
            prompt=f"{self.expression}=?",
            answer=str(self.values()[-1]),
            reference=self.solution(),
            metadata={"terms": size, "difficulty": size},
        )


class ArithmeticTask:
    """``config.prompts`` training chains and ``held_out`` others, all distinct; a :class:`Task`."""

    reward_range = (0.0, 1.0)

    def __init__(self, config: TaskConfig, held_out: int) -> None:
        train = distinct_chains(config, config.prompts, held_out=False)
        line = behind(config.instruction or "")
        self.train: Sequence[Problem] = tuple(instructed(chain.problem(), line) for chain in train)
        kept = distinct_chains(config, held_out, held_out=True)
        self.held_out: Sequence[Problem] = tuple(instructed(chain.problem(), line) for chain in kept)
        self._format_reward = config.format_reward

    def grade(self, problem: Problem, text: str) -> Grade:
        stated = final_answer(text)
        correct = stated is not None and stated == problem.answer
        parts = {"correctness": float(correct)}
        if self._format_reward > 0:
            parts["format"] = self._format_reward if stated is not None else 0.0
        return Grade(correct=correct, parts=parts)

    def split(self, text: str) -> list[str]:
        return split_lines(text)


def final_answer(text: str) -> str | None:
    """The answer that a response states, or None.

    Strict: the last line is the answer line, no other line is one, and the number is written in the
    one usual way (no sign before zero, no leading zero). Blanks at the ends of lines are forgiven.
    """
    lines = [line.strip() for line in text.strip().split("\n")]
    if any(line.startswith(ANSWER_MARK.strip()) for line in lines[:-1]):
        return None
    match = _ANSWER_LINE.fullmatch(lines[-1])
    return match.group(1) if match else None


def split_lines(text: str) -> list[str]:
    """Lines with their newlines; nothing is lost. The empty text has no step."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def draw_chain(rng: random.Random, terms: int, digits: int, operators: str) -> Chain:
    """A chain drawn uniformly; a term of d digits lies in [10**(d-1), 10**d), so it is never 0."""
    low, high = 10 ** (digits - 1), 10**digits
    return Chain(
        tuple(rng.randrange(low, high) for _ in range(terms)),
        "".join(rng.choice(operators) for _ in range(terms - 1)),
    )


def _apply(operator: str, left: int, right: int) -> int:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    assert operator == "*", f"unknown operator {operator!r}: the configuration allows + - *"
    return left * right


def distinct_chains(config: TaskConfig, count: int, *, held_out: bool) -> tuple[Chain, ...]:
    """``count`` distinct chains of one side of the split, the same for the same configuration.

    Raises:
        ValueError: there are not so many; the message names the setting.
    """
    rng = random.Random(derive_seed("arithmetic", config.seed, int(held_out)))
    chains: dict[str, Chain] = {}
    misses = 0
    while len(chains) < count and misses < MOST_MISSES:
        chain = draw_chain(rng, rng.choice(config.terms), config.digits, config.operators)
        misses += 1
        if chain.held_out == held_out and chain.expression not in chains:
            chains[chain.expression] = chain
            misses = 0
    if len(chains) < count:
        name, key = ("held-out", "evaluation.prompts") if held_out else ("training", "task.prompts")
        raise ValueError(
            f"{key}={count}: chains of task.terms={list(config.terms)}, task.digits={config.digits} and "
            f"task.operators={config.operators} gave only {len(chains)} distinct {name} problems: "
            f"lower {key}, or raise task.terms or task.digits"
        )
    return tuple(chains.values())
