"""Grading behind a deadline: answers are written by a model, so a grader may hang or raise on them.

It runs in child processes (:mod:`raysgpo.tasks.grader_pool`), and so does a reward of the user's beside it. A failure
is a value, and counted (``grader/timeouts``, ``grader/errors``): the answer counts as wrong, or its group is dropped,
as ``task.failed_grading`` says.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from raysgpo.config import Config
from raysgpo.records import CORRECTNESS, Problem
from raysgpo.tasks.grader_pool import START_DEADLINE, GraderPool
from raysgpo.tasks.task import Grade, Task
from raysgpo.tasks.user_reward import UserReward, combined
from raysgpo.tasks.worth import Each, Failed, GradeFn, Worth

WAITING = 8
"""Times as many processes as usual for a reward that is ``async``: it waits, and takes no CPU time."""


class Grader(ABC):
    """Grades responses without ever raising for what a response says."""

    @abstractmethod
    async def grades(self, problem: Problem, texts: Sequence[str]) -> list[Grade]:
        """The grade of each of the texts, which all answer the problem."""

    async def grade(self, problem: Problem, text: str) -> Grade:
        return (await self.grades(problem, [text]))[0]

    @abstractmethod
    def close(self) -> None: ...


def make_grader(
    task: Task, config: Config, workers: int | None = None, told: Callable[[], None] = lambda: None
) -> Grader:
    """The grader that the task needs: what is surely fast is graded in place, all else behind a deadline, ``workers``
    at a time; and with it the user's reward, if there is one. ``told`` is called after each grade."""
    settings, reward = config.task, UserReward.of(config.reward.code)
    workers = workers or settings.graders
    if settings.row.bounded_grading:
        grader: Grader = InlineGrader(task.grade, told)
    else:
        grader = DeadlineGrader(task.grade, settings.grade_deadline, workers, told=told)
    if reward is None:
        return grader
    return RewardingGrader(grader, reward, task.reward_range, settings.grade_deadline, workers, told)


class InlineGrader(Grader):
    """For graders whose time is bounded by the length of the text: no process, no deadline."""

    def __init__(self, grade: GradeFn, told: Callable[[], None] = lambda: None) -> None:
        self._grade = Each(grade)
        self._told = told

    async def grades(self, problem: Problem, texts: Sequence[str]) -> list[Grade]:
        return [self._one(problem, text) for text in texts]

    def _one(self, problem: Problem, text: str) -> Grade:
        (worth,) = self._grade(problem, [text])
        self._told()
        return _grade(worth)

    def close(self) -> None:
        """Nothing to end."""


class DeadlineGrader(Grader):
    """One text at a time in a process of a pool: one that hangs takes no other with it."""

    def __init__(
        self,
        grade: GradeFn,
        deadline: float,
        workers: int = 1,
        start_deadline: float = START_DEADLINE,
        patience: float | None = None,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """As for a GraderPool. ``grade`` must pickle."""
        self._pool = GraderPool(Each(grade), deadline, workers, start_deadline, patience)
        self._told = told

    async def grades(self, problem: Problem, texts: Sequence[str]) -> list[Grade]:
        """The grades; wrong, with ``failure`` set, where it raised, died or passed the deadline.

        Raises RuntimeError if a process cannot be started: that is no answer's fault.
        """
        return await asyncio.gather(*(self._one(problem, text) for text in texts))

    async def _one(self, problem: Problem, text: str) -> Grade:
        (worth,) = await self._pool.ask(problem, [text])
        self._told()
        return _grade(worth)

    def close(self) -> None:
        self._pool.close()


class RewardingGrader(Grader):
    """A task's grader and the user's reward: each text's grade is that of both."""

    def __init__(
        self,
        grader: Grader,
        reward: UserReward,
        reward_range: tuple[float, float],
        deadline: float,
        workers: int = 1,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._grader = grader
        self._together = reward.together
        self._range = reward_range
        self._pool = GraderPool(reward, deadline, workers * (WAITING if reward.waits else 1))
        self._told = told

    async def grades(self, problem: Problem, texts: Sequence[str]) -> list[Grade]:
        grades, worths = await asyncio.gather(self._grader.grades(problem, texts), self.worths(problem, texts))
        return [_grade(combined(grade, worth, self._range)) for grade, worth in zip(grades, worths, strict=True)]

    async def worths(self, problem: Problem, texts: Sequence[str]) -> list[Worth]:
        """What the reward alone gives."""
        parts = [list(texts)] if self._together else [[text] for text in texts]
        return [worth for one in await asyncio.gather(*(self._asked(problem, part) for part in parts)) for worth in one]

    async def _asked(self, problem: Problem, texts: list[str]) -> list[Worth]:
        worths = await self._pool.ask(problem, texts)
        self._told()
        return worths

    def close(self) -> None:
        self._pool.close()
        self._grader.close()


def _grade(worth: Worth) -> Grade:
    """A failure as a wrong answer."""
    if not isinstance(worth, Failed):
        assert isinstance(worth, Grade), "parts of a reward stand in a grade by now"
        return worth
    return Grade(False, {CORRECTNESS: 0.0}, failure=worth.kind, why=worth.why)
