"""A task class of the user's, made to travel with its code."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.task import Task
from raysgpo.user_code.code import UserCode
from raysgpo.user_code.modules import told
from raysgpo.user_code.shipped import Shipped

_HAS = {
    "train": "the problems to train on",
    "held_out": "the problems to evaluate on",
    "grade": "grade(problem, text), which gives a Grade",
    "split": "split(text), which gives its reasoning steps",
}
"""What a task must have, and what that is."""


class UserTask:
    """The user's task, as any other; a :class:`raysgpo.tasks.task.Task`."""

    def __init__(self, shipped: Shipped, reward_range: tuple[float, float]) -> None:
        self._shipped = shipped
        self.reward_range = reward_range

    @property
    def train(self) -> Sequence[Problem]:
        return self._task.train

    @property
    def held_out(self) -> Sequence[Problem]:
        return self._task.held_out

    @property
    def grade(self) -> Shipped:
        """Called as ``grade(problem, text)``; it goes to other processes with its code."""
        return Shipped(self._shipped.code, self._task.grade)

    def split(self, text: str) -> list[str]:
        return self._task.split(text)

    @property
    def _task(self) -> Task:
        task: Task = self._shipped.value
        return task


def user_task(config: TaskConfig, code: UserCode, held_out: int) -> UserTask:
    """The task that the class builds of the settings.

    Raises:
        ValueError: it cannot be built, lacks something, or cannot be sent to other processes; one line.
    """
    make: Callable[..., Any] = code.value()  # type: ignore[assignment]
    try:
        task = make(config, held_out)
    except ValueError:
        raise  # of its data, which it says itself
    except Exception as error:
        raise ValueError(f"task={code.given}: {code.name}(config, held_out) raised {told(error)}") from error
    for name, what in _HAS.items():
        if not hasattr(task, name):
            raise ValueError(f"task={code.given}: {code.name} lacks {name}: {what}")
    for name in ("train", "held_out"):
        _check_problems(getattr(task, name), f"task={code.given}: {code.name}.{name}")
    if not task.train:
        raise ValueError(f"task={code.given}: {code.name}.train is empty: there is nothing to train on")
    shipped = Shipped(code, task)
    try:
        pickle.dumps(shipped)
    except Exception as error:  # whatever an attribute cannot do
        raise ValueError(
            f"task={code.given}: a {code.name} cannot be sent to other processes ({told(error)}): keep files, locks "
            "and connections out of its attributes, and open them in grade"
        ) from error
    return UserTask(shipped, config.row.reward_range)


def _check_problems(problems: Any, where: str) -> None:
    if not isinstance(problems, Sequence) or isinstance(problems, str):
        raise ValueError(f"{where} is {type(problems).__name__} where a list of Problem was expected")
    wrong = next((one for one in problems if not isinstance(one, Problem)), None)
    if wrong is not None:
        raise ValueError(f"{where} holds {type(wrong).__name__} where a Problem was expected")
