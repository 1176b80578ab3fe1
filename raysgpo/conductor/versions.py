"""Weight versions: a counter that never goes back, and how many optimizer steps each version has."""

from __future__ import annotations

from raysgpo.records import Group


class Versions:
    """``current`` is the newest version that the replicas hold, ``newest`` the newest given out."""

    def __init__(self, newest: int) -> None:
        """``newest``: of the run so far; those given out are above it."""
        self.current = self.newest = newest
        self._steps: dict[int, int] = {}
        self._forgotten: int | None = None
        """The most steps that one has which is forgotten."""

    @property
    def ready(self) -> bool:
        """Has this run published any weights?"""
        return self.current in self._steps

    def give_out(self, step: int) -> int:
        """The number of weights with ``step`` optimizer steps that are about to be published.

        It is known before a replica can hold them: if the trainer dies before they have landed, the
        number is not used again, and the age of their tokens is known all the same.
        """
        self.newest += 1
        self._steps[self.newest] = step
        return self.newest

    def land(self, version: int, step: int) -> bool:
        """The replicas hold ``version``. True if the trainer went back: it has no more steps than those before."""
        assert version > self.current, f"weight version {version} after {self.current}: versions never go back"
        assert self._steps.get(version) == step, f"weight version {version} was not given out for {step} steps"
        before = self._steps.get(self.current)
        self.current = version
        return before is not None and step <= before

    def oldest_step(self, group: Group) -> int | None:
        """Optimizer steps of the weights that sampled the group's oldest token; None if this run sampled none."""
        versions = {version for rollout in group.rollouts_G for version, _ in rollout.weight_versions}
        return min(map(self._steps_of, versions), default=None)

    def forget_before(self, step: int) -> None:
        """No group in time has tokens of weights with fewer than ``step`` steps any more: such weights count as having
        one less."""
        old = [version for version, steps in self._steps.items() if steps < step and version != self.current]
        for version in old:
            del self._steps[version]
        if old:
            self._forgotten = step - 1

    def _steps_of(self, version: int) -> int:
        if (steps := self._steps.get(version, self._forgotten)) is None:
            raise KeyError(f"weight version {version} was not given out by this run")
        return steps
