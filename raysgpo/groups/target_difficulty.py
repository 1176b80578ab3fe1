"""The difficulty that the prompts of a step are chosen by: it follows the success (ADARFT, arXiv 2504.05520)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from raysgpo.config import CurriculumConfig
from raysgpo.groups.curriculum import ranks
from raysgpo.groups.measured_success import telling
from raysgpo.records import Group, Problem


class TargetDifficulty:
    """T of each step; a step takes the problems whose difficulty is nearest to it.

    T_{k+1} = T_k + eta (d_max - d_min) tanh(alpha (R_k - beta)), clamped to [d_min, d_max], with R_k the share of right
    answers of step k: the paper's mean reward, which is 0 or 1.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        config: CurriculumConfig,
        trained: int = 0,
        state: dict[str, Any] | None = None,
    ) -> None:
        """``trained``: steps done; ``state``: what ``state(trained)`` gave: T after 0, 1, 2, ... steps.

        Raises:
            ValueError: a problem has no difficulty.
        """
        self._config = config
        self._difficulty = ranks(problems, config)
        self._least, self._most = min(self._difficulty), max(self._difficulty)
        first = self._clamped(self._least if config.target is None else config.target)
        self._targets: list[float] = list(state["targets"]) if state else [first] * (trained + 1)
        assert len(self._targets) == trained + 1, "a target more than steps trained"

    def learn(self, groups_P: Iterable[Group]) -> None:
        """The next step has been trained. Without a graded answer T stays."""
        answers = [bool(rollout.correct) for group in groups_P for rollout in telling(group)]
        target, config = self._targets[-1], self._config
        if answers:
            ahead = math.tanh(config.target_sensitivity * (sum(answers) / len(answers) - config.target_success))
            target = self._clamped(target + config.target_change * (self._most - self._least) * ahead)
        self._targets.append(target)

    def after(self, steps: int) -> float:
        """T after ``steps`` trained steps."""
        return self._targets[steps]

    def ranks(self, steps: int) -> list[float]:
        """Of each problem after ``steps`` steps: how far its difficulty lies from T."""
        return [abs(difficulty - self._targets[steps]) for difficulty in self._difficulty]

    def state(self, steps: int) -> dict[str, Any]:
        """What a checkpoint after ``steps`` steps must hold."""
        return {"targets": self._targets[: steps + 1]}

    def _clamped(self, target: float) -> float:
        return min(max(target, self._least), self._most)
