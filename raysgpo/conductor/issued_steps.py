"""Steps as the trainer got them, so that one that is asked for again is the same."""

from __future__ import annotations

from dataclasses import replace

from raysgpo.conductor.versions import Versions
from raysgpo.config import Config
from raysgpo.groups.stages import over_step
from raysgpo.groups.window import age
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import step_shares
from raysgpo.records import Drop, Group


class IssuedSteps:
    """The groups of each step, with their age when it was handed out, and the ranks' shares of them.

    They stay until a checkpoint covers them.
    """

    def __init__(self, config: Config, versions: Versions) -> None:
        self._config = config
        self._versions = versions
        self._groups: dict[int, list[Group]] = {}
        self._shares: dict[int, list[Share]] = {}

    def __contains__(self, step: int) -> bool:
        return step in self._groups

    def add(self, step: int, groups: list[Group], ranks: int) -> None:
        """Hand the step out now; a second time changes nothing."""
        if step not in self:
            aged = [self._aged(group, step) for group in groups]
            self._groups[step] = over_step(aged, self._config.algorithm)
            self._shares[step] = step_shares(step, self._groups[step], self._config, ranks)

    def groups(self, step: int) -> list[Group]:
        """All of them, those included that carry no gradient."""
        return self._groups[step]

    def share(self, step: int, rank: int) -> Share:
        return self._shares[step][rank]

    def forget_before(self, step: int) -> None:
        for done in [s for s in self._groups if s < step]:
            del self._groups[done], self._shares[done]

    def _aged(self, group: Group, step: int) -> Group:
        """The group with its age at consumption; too old, and it carries no gradient."""
        oldest = self._versions.oldest_step(group)
        steps = 0 if oldest is None else age(step, oldest)
        too_old = steps > self._config.max_staleness and group.dropped is None
        return replace(group, step=step, age=steps, dropped=Drop.TOO_OLD if too_old else group.dropped)
