"""From groups that arrive one by one to whole steps, and back again if a step is asked twice."""

from __future__ import annotations

from raysgpo.groups.window import Window
from raysgpo.records import Group


class Assembly:
    """Groups by position; the window says which positions a step has. A step's groups go out once."""

    def __init__(self, window: Window, step: int = 0) -> None:
        """``step``: the first that is asked for; the positions before it count as having come."""
        self._window = window
        self._groups: dict[int, Group] = {}
        self._next = step
        self._first = window.first_position(step)
        """Of the next step: the groups of all positions before it went out."""
        self._looked = range(0)
        """The positions, from a step's first, that were here when the step was last asked for."""

    def __contains__(self, position: int) -> bool:
        return position in self._groups or position < self._first

    def add(self, group: Group) -> None:
        """A position that arrives twice (a re-run of a stream task) keeps its first group."""
        if group.position < self._first:
            return
        self._groups.setdefault(group.position, group)
        if self._groups[group.position].dropped is not None:
            self._window.dropped(group.position)

    def step(self, step: int) -> list[Group] | None:
        """The groups of a step in order of position, or None while some are missing. Steps are asked for in order,
        and each once."""
        assert step == self._next, f"step {step} was asked for, and the next to go out is {self._next}"
        if not self._complete(self._window.positions(step)):
            return None
        self._window.close(step)
        positions = self._window.positions(step)
        self._next, self._first = step + 1, positions.stop
        return [self._groups.pop(position) for position in positions]

    def _complete(self, positions: range) -> bool:
        """Whether all are here. Asked after each arrival: it looks on from where it stopped."""
        start = self._looked.stop if self._looked.start == positions.start else positions.start
        rest = range(start, positions.stop)
        missing = next((position for position in rest if position not in self), positions.stop)
        self._looked = range(positions.start, missing)
        return missing == positions.stop

    def missing(self, step: int) -> list[int]:
        return [position for position in self._window.positions(step) if position not in self]
