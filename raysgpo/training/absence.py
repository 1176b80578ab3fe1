"""Train workers that are not there: their node is gone, and Ray Train waits for room without a word and without end."""

from __future__ import annotations

import time
from collections.abc import Callable

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.nodes import free_nodes
from raysgpo.planning.demand import amounts
from raysgpo.planning.placement import Node, amounts_text, label_text, room

WORD = 60.0
"""Seconds without a worker after which the console is told."""


class Absence:
    """Since when there is no train worker."""

    def __init__(
        self,
        config: ResolvedConfig,
        say: Callable[[str], None],
        free: Callable[[], list[Node]] = free_nodes,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``free``: the nodes with what nobody holds of them; ``now``: a clock, seconds."""
        self._config = config
        self._say = say
        self._free = free
        self._now = now
        self._since: float | None = None
        self._told = False

    def look(self, alive: int) -> None:
        """``alive``: how many workers there are.

        Raises:
            RuntimeError: there has been room for too few for longer than ``cluster.node_deadline``.
        """
        if alive:
            self._since, self._told = None, False
            return
        self._since = self._now() if self._since is None else self._since
        absent = self._now() - self._since
        if absent < WORD or (missing := self._missing()) is None:
            return
        deadline = self._config.cluster.node_deadline
        if absent > deadline:
            raise RuntimeError(f"{missing}, for {absent:.0f} s (cluster.node_deadline={deadline:g})")
        if not self._told:
            self._say(f"waiting for room for the train workers: {missing}")
            self._told = True

    def _missing(self) -> str | None:
        """What has no room, with the numbers; None if there is room, so that they are on their way."""
        trainer = self._config.trainer
        each = amounts(trainer.cpus, trainer.gpus)
        labels = trainer.label_selector or {}
        there = room(each, labels, self._free())
        if there >= trainer.workers[0]:
            return None
        which = f" with {label_text(labels)}" if labels else ""
        return (
            f"{trainer.workers[0]} of {amounts_text(each)} each are needed, and what is free on the nodes{which} is "
            f"enough for {there}"
        )
