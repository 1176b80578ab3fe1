"""The rule judge of chained arithmetic: the oracle that other judges are measured against."""

from __future__ import annotations

from collections.abc import Sequence

from raysgpo.judging.judge import Judgement, Outcome
from raysgpo.records import Problem


class RuleJudge:
    """A :class:`raysgpo.judging.judge.Judge` that never errs and never loses a vote."""

    async def __call__(
        self, problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN
    ) -> Judgement:
        return Judgement(first_wrong(problem, steps))


def first_wrong(problem: Problem, steps: Sequence[str]) -> int:
    """The 0-based index of the first step that a correct solution does not have there, else ``len(steps)``.

    A chain has one solution, so a step is right exactly if it is that solution's line (blanks at its
    ends aside). Wrong are hence also a malformed line, a line past the answer line, and a correct
    sum worked from a wrong value. A last line without a newline that so far agrees with the solution
    is unfinished and not wrong: a response may be cut off in the middle of a line.
    """
    assert problem.reference is not None, f"problem {problem.id} has no reference to judge by"
    solution = problem.reference.split("\n")
    for index, step in enumerate(steps):
        if index >= len(solution):
            return index
        written, right = step.strip(), solution[index]
        unfinished = index == len(steps) - 1 and not step.endswith("\n")
        if written != right and not (unfinished and right.startswith(written)):
            return index
    return len(steps)
