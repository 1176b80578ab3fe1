"""From groups that arrive one by one to whole steps, and back again if a step is asked twice."""

from __future__ import annotations

from raysgpo.records import Group
from raysgpo.window import first_position, step_of


class Assembly:
    """Groups by position. They stay until a checkpoint covers them, so asking again is harmless."""

    def __init__(self, prompts_per_step: int) -> None:
        self._prompts_per_step = prompts_per_step
        self._groups: dict[int, Group] = {}

    def __contains__(self, position: int) -> bool:
        return position in self._groups

    def add(self, group: Group) -> None:
        """A position that arrives twice (a re-run of a stream task) keeps its first group."""
        self._groups.setdefault(group.position, group)

    def step(self, step: int) -> list[Group] | None:
        """The groups of a step in order of position, or None while some are missing."""
        positions = self.positions(step)
        if any(position not in self._groups for position in positions):
            return None
        return [self._groups[position] for position in positions]

    def missing(self, step: int) -> list[int]:
        return [position for position in self.positions(step) if position not in self._groups]

    def positions(self, step: int) -> range:
        first = first_position(step, self._prompts_per_step)
        return range(first, first + self._prompts_per_step)

    def forget_before(self, step: int) -> None:
        for position in [p for p in self._groups if step_of(p, self._prompts_per_step) < step]:
            del self._groups[position]
