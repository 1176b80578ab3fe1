"""The tasks: one table of what the rest of raysgpo knows of each, a row a task.

No other file switches on a task's name. A row names classes by their import path, since tasks are built from
settings and not the other way around; a run imports the one that it names. docs/tasks.md shows the same table and
says what a task of one's own takes, and a test compares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

RIGHT_OR_WRONG = (0.0, 1.0)
RATED = (math.log(0.01), math.log(0.99))
"""The reward of ratings is the logarithm of the chance they give to the truth, which is kept within [0.01, 0.99]."""


@dataclass(frozen=True, slots=True)
class TaskKind:
    """A task as its settings, its grader and the start of a run see it."""

    factory: str
    """``module:name``, called with the TaskConfig and the number of problems to hold out; gives a Task."""
    fields: tuple[str, ...] | None = None
    """What a row of ``task.path`` has; None of a generated task, which reads no file."""
    reward_range: tuple[float, float] = RIGHT_OR_WRONG
    """Least and largest correctness reward, as the Task says too."""
    threshold: float | None = None
    """The correctness reward of a guess, where the task knows it: ``algorithm.r_min_correct`` where none is given."""
    bounded_grading: bool = False
    """The time to grade is bounded by the length of the text: graded in place, without a process and a deadline."""
    steps_by_rule: bool = False
    """A reference is the one right solution, a step a line, so ``judge=rule`` finds the first wrong step."""
    judgement: bool = False
    """The reasoning ends in a verdict on what was shown: no guidance, which would give it away, no partial credit."""
    sandboxed: bool = False
    """Answers are programs that are run: in a sandbox, which every node must allow, and as many at once as a node has
    cores."""
    tiny: str | None = None
    """``module:name`` of what makes the policy that ``model=tiny`` stands for, called with the storage folder and
    ``report``; None: the tiny policy, which knows chained arithmetic."""

    splitter: str | None = None
    """``module:name``, called with the TaskConfig; gives what cuts an answer into its steps, for who reads a record
    and builds no task. None: a record shows its answers whole."""

    miniature: str | None = None
    """What ``--miniature`` puts in the place of its rows: a file of ``raysgpo/tasks/rows``, or the task that generates
    such problems. None: nothing, its own are few enough, or are the user's."""

    def __post_init__(self) -> None:
        assert self.fields != (), f"{self.factory}: a task that reads no field of a file has fields=None"
        least, largest = self.reward_range
        assert least < largest, f"{self.factory}: rewards reach from the least to the largest, not {self.reward_range}"
        assert self.threshold is None or least < self.threshold < largest, (
            f"{self.factory}: a threshold of {self.threshold} tells no answers apart whose rewards are "
            f"{least:g} to {largest:g}"
        )


TASK_KINDS: Mapping[str, TaskKind] = {
    "arithmetic": TaskKind(
        "raysgpo.tasks.arithmetic:ArithmeticTask",
        bounded_grading=True,
        steps_by_rule=True,
        splitter="raysgpo.tasks.splitters:lines",
    ),
    # math-verify may take for ever over an answer.
    "math": TaskKind(
        "raysgpo.tasks.math:MathTask",
        fields=("question", "answer", "solution"),
        splitter="raysgpo.tasks.splitters:paragraphs",
        miniature="chains.jsonl",
    ),
    "code": TaskKind(
        "raysgpo.tasks.code:CodeTask",
        fields=("question", "tests", "entry_point", "solution"),
        threshold=0.5,
        sandboxed=True,
        splitter="raysgpo.tasks.splitters:programs",
        miniature="programs.jsonl",
    ),
    "verifier": TaskKind(
        "raysgpo.tasks.verifier:VerifierTask",
        fields=("question", "solution_a", "solution_b", "correct_a", "correct_b"),
        reward_range=RATED,
        threshold=math.log(0.5),
        bounded_grading=True,
        judgement=True,
        tiny="raysgpo.tiny.tiny_verifier:ensure_tiny_verifier",
        splitter="raysgpo.tasks.splitters:paragraphs",
        miniature="arithmetic_verifier",
    ),
    "arithmetic_verifier": TaskKind(
        "raysgpo.tasks.arithmetic_verifier:ArithmeticVerifierTask",
        reward_range=RATED,
        threshold=math.log(0.5),
        bounded_grading=True,
        judgement=True,
        tiny="raysgpo.tiny.tiny_verifier:ensure_tiny_verifier",
        splitter="raysgpo.tasks.splitters:lines",
    ),
}
"""By the word that ``task.kind`` takes."""
