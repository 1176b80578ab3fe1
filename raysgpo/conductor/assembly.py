"""From groups that arrive one by one to whole steps, and back again if a step is asked twice."""

from __future__ import annotations

from raysgpo.groups.window import Window
from raysgpo.records import Group


class Assembly:
    """Groups by position; the window says which positions a step has. They stay until a checkpoint
    covers them, so asking again is harmless."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._groups: dict[int, Group] = {}

    def __contains__(self, position: int) -> bool:
        return position in self._groups

    def add(self, group: Group) -> None:
        """A position that arrives twice (a re-run of a stream task) keeps its first group."""
        self._groups.setdefault(group.position, group)
        if self._groups[group.position].dropped is not None:
            self._window.dropped(group.position)

    def step(self, step: int) -> list[Group] | None:
        """The groups of a step in order of position, or None while some are missing. Steps are asked for in order."""
        if self.missing(step):
            return None
        self._window.close(step)
        return [self._groups[position] for position in self._window.positions(step)]

    def missing(self, step: int) -> list[int]:
        return [position for position in self._window.positions(step) if position not in self._groups]

    def forget_before(self, step: int) -> None:
        first = self._window.first_position(step)
        for position in [p for p in self._groups if p < first]:
            del self._groups[position]
