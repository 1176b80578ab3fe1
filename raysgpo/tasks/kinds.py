"""The task that the configuration names."""

from __future__ import annotations

from collections.abc import Callable

from raysgpo.config import Config, TaskConfig
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tasks.arithmetic_verifier import ArithmeticVerifierTask
from raysgpo.tasks.math import MathTask
from raysgpo.tasks.task import Task
from raysgpo.tasks.verifier import VerifierTask


def build_task(config: Config) -> Task:
    """Reads or generates the problems; ``evaluation.prompts`` of them are held out.

    Raises:
        ValueError: bad data, naming the file and the row.
    """
    kinds: dict[str, Callable[[TaskConfig, int], Task]] = {
        "arithmetic": ArithmeticTask,
        "math": MathTask,
        "verifier": VerifierTask,
        "arithmetic_verifier": ArithmeticVerifierTask,
    }
    return kinds[config.task.kind](config.task, config.evaluation.prompts)
