"""The task that the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name

from raysgpo.config import Config, TaskConfig
from raysgpo.tasks.task import Task
from raysgpo.tasks.user_task import user_task


def build_task(config: Config) -> Task:
    """Reads or generates the problems; ``evaluation.prompts`` of them are held out.

    Only the module of this task is imported: math-verify is of no use to the others.

    Raises:
        ValueError: bad data, naming the file and the row.
    """
    if config.task.code is not None:
        return user_task(config.task, config.task.code, config.evaluation.most_prompts)
    row = config.task.row
    factory: Callable[[TaskConfig, int], Task] = resolve_name(row.factory)
    task = factory(config.task, config.evaluation.most_prompts)
    assert task.reward_range == row.reward_range, (
        f"{row.factory} gives rewards of {task.reward_range}, but its row in the table of tasks says {row.reward_range}"
    )
    return task
