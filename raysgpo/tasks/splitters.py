"""How a task cuts answers into steps, without its problems: to read a record nothing else of the task is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name

from raysgpo.config import TaskConfig
from raysgpo.tasks.arithmetic import split_lines
from raysgpo.tasks.code_steps import split_code
from raysgpo.tasks.reasoning import split_steps

Splitter = Callable[[str], list[str]]


def splitter(config: TaskConfig) -> Splitter | None:
    """As ``Task.split`` of a task of these settings; None of a class of the user's, which is built to be asked."""
    if config.row.splitter is None:
        return None
    factory: Callable[[TaskConfig], Splitter] = resolve_name(config.row.splitter)
    return factory(config)


def lines(config: TaskConfig) -> Splitter:
    return split_lines


def paragraphs(config: TaskConfig) -> Splitter:
    return partial(split_steps, limit=config.max_reasoning_steps)


def programs(config: TaskConfig) -> Splitter:
    return partial(split_code, size=config.code_steps, limit=config.max_reasoning_steps)
