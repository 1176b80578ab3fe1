"""The explanatory-verifier task on generated arithmetic: two worked solutions of a chain, which is right?

The policy sees the chain and the solutions, A and B::

    3+4-2=?
    A:
    3+4=7
    7-2=5
    #### 5
    B:
    3+4=8
    8-2=6
    #### 6

and a good judgement works the chain out itself, compares, and rates::

    3+4=7
    7-2=5
    A: 5, right
    B: 6, not 5
    Rating A: 10
    Rating B: 0
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.arithmetic import ANSWER_MARK, Chain, distinct_chains, split_lines
from raysgpo.tasks.rating_grading import RatingGrading
from raysgpo.tasks.ratings import REWARD_RANGE
from raysgpo.tasks.turns import behind, instructed
from raysgpo.tasks.verifier import Case, is_single

PAIR = "{question}\nA:\n{first}\nB:\n{second}"
SINGLE = "{question}\nA:\n{first}"
LARGEST_SLIP = 9
HELD_OUT_TRUTHS = ((True, False), (False, True)) * 3 + ((True, True), (False, False))
"""The held-out pairs in turn: three quarters have one right solution, the rest two or none."""


class ArithmeticVerifierTask:
    """``config.prompts`` training cases and ``held_out`` others, each of its own chain; a Task.

    Of the training cases the share ``config.singles`` shows one solution alone; the others are pairs
    with one right solution. The chains are those of the arithmetic task's split, so the ones that it
    holds out are held out here.
    """

    reward_range = REWARD_RANGE

    def __init__(self, config: TaskConfig, held_out: int) -> None:
        line = behind(config.instruction or "")
        self.train: Sequence[Problem] = tuple(
            instructed(arithmetic_case(chain, training_truth(chain, config), _generator(chain, config)), line)
            for chain in distinct_chains(config, config.prompts, held_out=False)
        )
        self.held_out: Sequence[Problem] = tuple(
            instructed(arithmetic_case(chain, _held_out_truth(index), _generator(chain, config)), line)
            for index, chain in enumerate(distinct_chains(config, held_out, held_out=True))
        )
        self.grade = RatingGrading(config.format_reward, config.pair_reward == "difference")

    def split(self, text: str) -> list[str]:
        return split_lines(text)


def arithmetic_case(chain: Chain, right: tuple[bool, ...], rng: random.Random) -> Problem:
    """The chain with a right or a wrong solution for each of ``right``; the reference is a good judgement."""
    solutions = tuple(chain.solution() if one else wrong_solution(chain, rng) for one in right)
    metadata = {"terms": len(chain.terms), "difficulty": len(chain.terms)}
    case = Case(f"verify {chain.expression}", f"{chain.expression}=?", solutions, right, metadata=metadata)
    ratings = [10 if one else 0 for one in right]
    return case.problem(PAIR, SINGLE, judgement(chain, solutions, ratings))


def training_truth(chain: Chain, config: TaskConfig) -> tuple[bool, ...]:
    """Right and wrong in either order, or one of them alone."""
    first = bool(derive_seed("first right", config.seed, chain.expression) % 2)
    return (first,) if is_single(config, chain.expression) else (first, not first)


def _held_out_truth(index: int) -> tuple[bool, ...]:
    return HELD_OUT_TRUTHS[index % len(HELD_OUT_TRUTHS)]


def wrong_solution(chain: Chain, rng: random.Random) -> str:
    """A solution with one slip, carried on from it, so that its answer is wrong."""
    place, calls = rng.randrange(len(chain.operators)), 0

    def slip(value: int) -> int:
        nonlocal calls
        calls += 1
        return value + rng.choice((-1, 1)) * rng.randint(1, LARGEST_SLIP) if calls == place + 1 else value

    return chain.solution(slip)


def judgement(chain: Chain, solutions: Sequence[str], ratings: Sequence[int], own: str | None = None) -> str:
    """The working, a remark on each solution, and its rating. ``own``: another working than the true one."""
    *working, last = (own or chain.solution()).split("\n")
    found = last.removeprefix(ANSWER_MARK)
    labels = "AB"[: len(solutions)]
    remarks = [_remark(label, text, found) for label, text in zip(labels, solutions, strict=True)]
    names = [f"Rating {label}: {rating}" for label, rating in zip(labels, ratings, strict=True)]
    return "\n".join([*working, *remarks, *names])


def stated(solution: str) -> str:
    """The answer of a worked solution."""
    return solution.rpartition(ANSWER_MARK)[2]


def _remark(label: str, solution: str, found: str) -> str:
    answer = stated(solution)
    return f"{label}: {answer}, right" if answer == found else f"{label}: {answer}, not {found}"


def _generator(chain: Chain, config: TaskConfig) -> random.Random:
    return random.Random(derive_seed("arithmetic verifier", config.seed, chain.expression))
