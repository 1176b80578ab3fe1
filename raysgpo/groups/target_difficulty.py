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
        staleness: int = 0,
    ) -> None:
        """``trained``: steps done; ``state``: what ``state(trained)`` gave: T after the last ``staleness`` + 1 of them.

        Raises:
            ValueError: a problem has no difficulty.
        """
        self._config = config
        self._difficulty = ranks(problems, config)
        self._least, self._most = min(self._difficulty), max(self._difficulty)
        first = self._clamped(self._least if config.target is None else config.target)
        self._staleness, self._trained = staleness, trained
        targets = list(state["targets"]) if state else [first]
        kept = self._kept(trained)
        targets = [targets[0]] * (len(kept) - len(targets)) + targets[-len(kept) :]
        self._targets: dict[int, float] = dict(zip(kept, targets, strict=True))
        """By the number of steps trained."""

    def learn(self, groups_P: Iterable[Group]) -> None:
        """The next step has been trained. Without a graded answer T stays."""
        answers = [bool(rollout.correct) for group in groups_P for rollout in telling(group)]
        target, config = self._targets[self._trained], self._config
        if answers:
            ahead = math.tanh(config.target_sensitivity * (sum(answers) / len(answers) - config.target_success))
            target = self._clamped(target + config.target_change * (self._most - self._least) * ahead)
        self._trained += 1
        self._targets[self._trained] = target

    def after(self, steps: int) -> float:
        """T after ``steps`` trained steps."""
        return self._targets[steps]

    def ranks(self, steps: int) -> list[float]:
        """Of each problem after ``steps`` steps: how far its difficulty lies from T."""
        return [abs(difficulty - self._targets[steps]) for difficulty in self._difficulty]

    def state(self, steps: int) -> dict[str, Any]:
        """What a checkpoint after ``steps`` steps must hold."""
        return {"targets": [self._targets[known] for known in self._kept(steps)]}

    def forget_before(self, step: int) -> None:
        """Nobody asks for T of an earlier step any more."""
        for steps in [steps for steps in self._targets if steps < self._kept(step).start]:
            del self._targets[steps]

    def _kept(self, steps: int) -> range:
        """What whoever goes on after so many steps asks for: T of when the slots of that step opened, and since."""
        return range(max(steps - self._staleness, 0), steps + 1)

    def _clamped(self, target: float) -> float:
        return min(max(target, self._least), self._most)
