"""What a problem is shown behind: a system turn, worked examples, an instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from raysgpo.config import TaskConfig
from raysgpo.records import Problem, Turns


def behind(instruction: str) -> str:
    """The instruction as it stands behind a problem: on a line of its own."""
    return f"\n{instruction}" if instruction else ""


def instructed(problem: Problem, line: str) -> Problem:
    """The problem with the line (of ``behind``) behind it."""
    return replace(problem, prompt=problem.prompt + line) if line else problem


def turns_before(config: TaskConfig, train: Sequence[Problem]) -> tuple[Turns, list[Problem]]:
    """The turns before every problem, and what is left to train on.

    Raises:
        ValueError: there are not so many training problems with a solution; the message names the setting.
    """
    system = [("system", config.system)] if config.system else []
    solved = [problem for problem in train if problem.reference][: config.examples]
    if len(solved) < config.examples:
        raise ValueError(f"task.examples={config.examples}: only {len(solved)} training problems have a solution")
    shown = {problem.chat() for problem in solved}
    turns = [turn for one in solved for turn in (*_said(one), ("assistant", one.reference or ""))]
    return (*system, *turns), [problem for problem in train if problem.chat() not in shown]


def _said(problem: Problem) -> list[tuple[str, str]]:
    return [turn for turn in problem.chat() if turn[0] != "system"]
