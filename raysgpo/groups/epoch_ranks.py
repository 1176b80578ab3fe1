"""What each epoch's order of the prompts is made from: their difficulty, or how they went so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from raysgpo.config import Config
from raysgpo.groups.curriculum import order_ranks
from raysgpo.groups.window import Window
from raysgpo.records import Drop, Group, Problem

State = dict[str, Any]
"""``asked`` and ``right``, rollouts by problem id; ``epochs``, the ranks of those whose slots are open."""

UNKNOWN = 0.5
"""Success rate of a problem that was not sampled yet: in the middle."""


class EpochRanks:
    """The ranks of the problems in each epoch, lower ones first. Its state is in the checkpoint.

    Under ``order=success`` an epoch is ranked when its first slot opens, by the steps that were trained
    until then: s - S of them, s being the step of its first position. Without refilling s follows from the
    epoch's number, with it from which groups were dropped; with refilling and S > 0 it is the step that the
    position is thought to belong to at that moment.
    """

    def __init__(
        self,
        config: Config,
        problems: Sequence[Problem],
        window: Window,
        trained: int = 0,
        state: State | None = None,
    ) -> None:
        """``trained``: steps done; ``state``: what ``state(trained)`` gave."""
        self._problems = problems
        self._measured = config.curriculum.order == "success"
        self._fixed = order_ranks(problems, config.curriculum)
        self._window = window
        self._staleness = config.max_staleness
        state = state or {"asked": {}, "right": {}, "epochs": {}}
        self._first = trained
        self._before: tuple[Counter[str], Counter[str]] = (Counter(state["asked"]), Counter(state["right"]))
        self._steps: list[tuple[Counter[str], Counter[str]]] = []
        self._epochs: dict[int, list[float]] = {int(epoch): list(ranks) for epoch, ranks in state["epochs"].items()}
        self._rank_opened()

    def __call__(self, epoch: int) -> Sequence[float] | None:
        if not self._measured:
            return self._fixed
        if epoch not in self._epochs:
            self._rank_opened()  # A group that was dropped has made room.
        return self._epochs[epoch]

    def learn(self, step: int, groups_P: Iterable[Group]) -> None:
        """A step has been trained. One that is trained again was learned from before.

        ``groups_P``: all of its groups; those without rewards tell nothing.
        """
        if not self._measured or step < self._first + len(self._steps):
            return
        asked, right = Counter[str](), Counter[str]()
        for group in groups_P:
            if group.dropped is Drop.NO_REWARD:
                continue
            # Success with guidance tells nothing of the problem itself.
            free = [rollout for rollout in group.rollouts_G if not rollout.guided] or group.rollouts_G
            asked[group.problem.id] += len(free)
            right[group.problem.id] += sum(bool(rollout.correct) for rollout in free)
        self._steps.append((asked, right))
        self._rank_opened()

    def state(self, steps: int) -> State:
        """What a checkpoint after ``steps`` steps must hold."""
        asked, right = self._counts(steps)
        now = self._epoch_of(steps)
        epochs = {e: ranks for e, ranks in self._epochs.items() if e >= now and self._opens(e) <= steps}
        return {"asked": dict(asked), "right": dict(right), "epochs": epochs}

    def _opens(self, epoch: int) -> int:
        """Steps trained when the epoch's first slot opens."""
        return self._window.step_of(epoch * len(self._problems)) - self._staleness

    def _epoch_of(self, step: int) -> int:
        """The epoch in which a step begins."""
        return self._window.first_position(step) // len(self._problems)

    def _rank_opened(self) -> None:
        """Rank the epochs whose slots have opened now."""
        trained = self._first + len(self._steps)
        epoch = self._epoch_of(trained)
        while self._measured and self._opens(epoch) <= trained:
            if epoch not in self._epochs:
                asked, right = self._counts(trained)
                self._epochs[epoch] = [-right[p.id] / asked[p.id] if asked[p.id] else -UNKNOWN for p in self._problems]
            epoch += 1

    def _counts(self, steps: int) -> tuple[Counter[str], Counter[str]]:
        asked, right = (Counter(counts) for counts in self._before)
        for more_asked, more_right in self._steps[: steps - self._first]:
            asked.update(more_asked)
            right.update(more_right)
        return asked, right
