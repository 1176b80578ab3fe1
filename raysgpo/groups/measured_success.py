"""How often each problem was answered right so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from raysgpo.records import Drop, Group, Problem, Rollout

UNKNOWN = 0.5
"""Success rate of a problem that was not sampled yet: in the middle."""


class MeasuredSuccess:
    """The rates after each step, success with guidance left out."""

    def __init__(self, problems: Sequence[Problem], trained: int = 0, state: dict[str, Any] | None = None) -> None:
        """``trained``: steps done; ``state``: what ``state(trained)`` gave: rollouts by problem id."""
        state = state or {"asked": {}, "right": {}}
        self._problems = problems
        self._first = trained
        self._before: tuple[Counter[str], Counter[str]] = (Counter(state["asked"]), Counter(state["right"]))
        self._steps: list[tuple[Counter[str], Counter[str]]] = []

    def learn(self, groups_P: Iterable[Group]) -> None:
        """The next step has been trained."""
        asked, right = Counter[str](), Counter[str]()
        for group in groups_P:
            free = telling(group)
            asked[group.problem.id] += len(free)
            right[group.problem.id] += sum(bool(rollout.correct) for rollout in free)
        self._steps.append((asked, right))

    def ranks(self, steps: int) -> list[float]:
        """Of each problem after ``steps`` steps: the more often right, the lower."""
        asked, right = self._counts(steps)
        return [-right[p.id] / asked[p.id] if asked[p.id] else -UNKNOWN for p in self._problems]

    def state(self, steps: int) -> dict[str, Any]:
        """What a checkpoint after ``steps`` steps must hold."""
        asked, right = self._counts(steps)
        return {"asked": dict(asked), "right": dict(right)}

    def forget_before(self, step: int) -> None:
        """Nobody asks for the rates after fewer steps any more."""
        self._before = self._counts(step)
        del self._steps[: step - self._first]
        self._first = step

    def _counts(self, steps: int) -> tuple[Counter[str], Counter[str]]:
        asked, right = (Counter(counts) for counts in self._before)
        for more_asked, more_right in self._steps[: steps - self._first]:
            asked.update(more_asked)
            right.update(more_right)
        return asked, right


def telling(group: Group) -> Sequence[Rollout]:
    """The rollouts that say how hard a problem is: those without guidance, where there are any; none of a group
    without rewards."""
    if group.dropped in (Drop.NO_REWARD, Drop.FAILED):
        return ()
    return [rollout for rollout in group.rollouts_G if not rollout.guided] or group.rollouts_G
