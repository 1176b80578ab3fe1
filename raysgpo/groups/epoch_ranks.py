"""What each epoch's order of the prompts is made from: their difficulty, or how they went so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysgpo.config import Config
from raysgpo.groups.curriculum import order_ranks, ranks
from raysgpo.groups.measured_success import MeasuredSuccess
from raysgpo.groups.target_difficulty import TargetDifficulty
from raysgpo.groups.window import Window
from raysgpo.records import Group, Problem

State = dict[str, Any]
"""``epochs``, the ranks of those whose slots are open, and what the measurement has learned."""


class EpochRanks:
    """The ranks of the problems in each epoch, lower ones first. Its state is in the checkpoint.

    Where the ranks follow from what was trained (``success``, ``target``), an epoch is ranked when its first slot
    opens, by the steps that were trained until then: s - S of them, s being the step of its first position. Without
    refilling s follows from the epoch's number, with it from which groups were dropped; with refilling and S > 0 it is
    the step that the position is thought to belong to at that moment.

    Under ``target`` an epoch is as long as a step: it visits the P lowest alone.
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
        self._curriculum = config.curriculum
        self._problems = problems
        self._fixed = order_ranks(problems, config.curriculum)
        self._measured = _measured(config, problems, trained, state)
        self._window = window
        self._staleness = config.max_staleness
        self._trained = trained
        aimed = isinstance(self._measured, TargetDifficulty)
        self.visits = min(config.prompts_per_step, len(problems)) if aimed else len(problems)
        """Problems of an epoch."""
        epochs = state["epochs"] if state else {}
        self._epochs: dict[int, list[float]] = {int(epoch): list(ranks) for epoch, ranks in epochs.items()}
        self._rank_opened()

    def __call__(self, epoch: int) -> Sequence[float] | None:
        if self._measured is None:
            return self._fixed
        if epoch not in self._epochs:
            self._rank_opened()  # A group that was dropped has made room.
        return self._epochs[epoch]

    def learn(self, step: int, groups_P: Sequence[Group]) -> None:
        """A step has been trained. One that is trained again was learned from before.

        ``groups_P``: all of its groups; those without rewards tell nothing.
        """
        if self._measured is None or step < self._trained:
            return
        self._measured.learn(groups_P)
        self._trained += 1
        self._rank_opened()

    def state(self, steps: int) -> State:
        """What a checkpoint after ``steps`` steps must hold: nothing where the ranks follow from the data."""
        if self._measured is None:
            return {}
        now = self._epoch_of(steps)
        epochs = {e: ranks for e, ranks in self._epochs.items() if e >= now and self._opens(e) <= steps}
        return {**self._measured.state(steps), "epochs": epochs}

    def forget_before(self, step: int) -> None:
        """Nothing before ``step`` is trained or asked for any more."""
        if self._measured is None:
            return
        now = self._epoch_of(step)
        self._epochs = {epoch: ranks for epoch, ranks in self._epochs.items() if epoch >= now}
        self._measured.forget_before(step)

    def metrics(self, step: int, groups_P: Sequence[Group]) -> dict[str, float | int | None]:
        """What a step's row says of its prompts' difficulty, where they are chosen by it."""
        found: dict[str, float | int | None] = {}
        if isinstance(self._measured, TargetDifficulty):
            found["curriculum/target"] = self._measured.after(max(step - self._staleness, 0))
        if (found or self._fixed is not None) and groups_P:
            difficulty = ranks([group.problem for group in groups_P], self._curriculum)
            found["curriculum/difficulty"] = sum(difficulty) / len(difficulty)
        return found

    def _opens(self, epoch: int) -> int:
        """Steps trained when the epoch's first slot opens."""
        return self._window.step_of(epoch * self.visits) - self._staleness

    def _epoch_of(self, step: int) -> int:
        """The epoch in which a step begins."""
        return self._window.first_position(step) // self.visits

    def _rank_opened(self) -> None:
        """Rank the epochs whose slots have opened now."""
        if self._measured is None:
            return
        epoch = self._epoch_of(self._trained)
        while self._opens(epoch) <= self._trained:
            if epoch not in self._epochs:
                self._epochs[epoch] = self._measured.ranks(self._trained)
            epoch += 1


def _measured(
    config: Config, problems: Sequence[Problem], trained: int, state: State | None
) -> MeasuredSuccess | TargetDifficulty | None:
    """What ranks an epoch by how the steps before it went; None where the data alone decides, or nothing does."""
    match config.curriculum.order:
        case "success":
            return MeasuredSuccess(problems, trained, state)
        case "target":
            return TargetDifficulty(problems, config.curriculum, trained, state, config.max_staleness)
    return None
