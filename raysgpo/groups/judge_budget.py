"""Which groups may be judged: those of the first epochs or steps, as long as the budget lasts."""

from __future__ import annotations

from collections.abc import Callable

from raysgpo.config import Config
from raysgpo.records import Group

Spent = dict[str, float]
"""``calls`` and ``tokens`` of the run so far."""


class JudgeBudget:
    """Grants groups their judgement and keeps the account. Its state is in the checkpoint.

    A grant reserves the most calls that the group can make, and its arrival gives back what it did not
    need; so ``judge.max_calls`` is never exceeded. What a call costs in tokens is known afterwards, so
    ``judge.max_run_tokens`` ends the grants and may be exceeded by the groups then under way.
    """

    def __init__(
        self,
        config: Config,
        problems: int,
        spent: Spent | None = None,
        told: Callable[[Spent], None] | None = None,
    ) -> None:
        """``problems``: number of training prompts, an epoch; ``told``: of what is spent, when it changes."""
        judge = config.judge
        self._end = judge.epochs * problems if config.needs_judge else 0
        """The position where the judged epochs end; ``judge.steps`` counts steps instead."""
        self._steps = judge.steps if config.needs_judge else 0
        self._settings = judge
        self._calls_a_group = config.sampling.group_size * judge.votes
        self.spent: Spent = {"calls": 0, "tokens": 0, **(spent or {})}
        self._told = told
        self._reserved: set[int] = set()
        self.exhausted: str | None = None
        """The setting that ended the judging, with its value, once one has."""

    def grant(self, position: int, step: int) -> bool:
        """Whether the group of this position may be judged, ``step`` being the one that it starts for;
        asking twice changes nothing."""
        if position in self._reserved:
            return True
        if self._past(step, position) or self._check_budget():
            return False
        most = self._settings.max_calls
        if most is not None and self._calls_with(len(self._reserved) + 1) > most:
            return False  # What others have reserved may yet come back.
        self._reserved.add(position)
        return True

    def settle(self, group: Group) -> None:
        """The group is here, with what its judgements cost."""
        if group.position in self._reserved:
            self._reserved.discard(group.position)
            for name in ("calls", "tokens"):
                self.spent[name] += group.counts.get(f"judge/{name}", 0)
            if self._told is not None and group.counts.get("judge/calls"):
                self._told(self.spent)

    def over(self, trained: int, position: int) -> bool:
        """Whether no group will be judged any more, ``trained`` steps being done and the next beginning at
        ``position``."""
        return not self._reserved and (self.exhausted is not None or self._past(trained, position))

    def _past(self, step: int, position: int) -> bool:
        return position >= self._end if self._steps is None else step >= self._steps

    def _check_budget(self) -> bool:
        settings = self._settings
        if settings.max_run_tokens is not None and self.spent["tokens"] >= settings.max_run_tokens:
            self.exhausted = f"judge.max_run_tokens={settings.max_run_tokens}"
        elif settings.max_calls is not None and self._calls_with(1) > settings.max_calls:
            self.exhausted = f"judge.max_calls={settings.max_calls}"
        return self.exhausted is not None

    def _calls_with(self, groups: int) -> float:
        """Calls of the run once so many groups more have made all that they can."""
        return self.spent["calls"] + groups * self._calls_a_group
