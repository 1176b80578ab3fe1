"""What each position of the stream stands for, and the controllers that have a say in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from raysgpo.groups.epoch_ranks import EpochRanks
from raysgpo.groups.guidance_length import GuidanceLength
from raysgpo.groups.judge_budget import JudgeBudget, Spent
from raysgpo.groups.order import Order, rollout_seeds
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.groups.window import Window
from raysgpo.records import Group, Ticket


class Tickets:
    """Hands out tickets; a position that is asked for again has the same, but for newer weights.

    With ``refill`` and S > 0 a group that was dropped meanwhile may have moved the position to an earlier step.
    """

    def __init__(
        self, prepared: Prepared, start: StartState, window: Window, spent: Callable[[Spent], None] | None = None
    ) -> None:
        """``spent``: told what judging has cost, whenever that has changed."""
        config, state = prepared.config, start.controllers
        self._config = config
        self._window = window
        self._prompts = prepared.train
        problems = [prompt.problem for prompt in prepared.train]
        self.judge_budget = JudgeBudget(config, len(problems), state.get("judge_budget"), spent)
        self._guidance_length = GuidanceLength(config, prepared.total_steps, start.step, state.get("guidance_length"))
        self._epoch_ranks = EpochRanks(config, problems, window, start.step, state.get("epoch_ranks"))
        self._order = Order(len(problems), config.seed, self._epoch_ranks, self._epoch_ranks.visits)

    def ticket(self, position: int, min_version: int) -> Ticket:
        """The ticket of a position that the window has reached."""
        config = self._config
        epoch, index = self._order.at(position)
        prompt, step = self._prompts[index], self._window.step_of(position)
        return Ticket(
            position=position,
            step=step,
            epoch=epoch,
            problem=prompt.problem,
            prompt_ids=prompt.token_ids,
            seeds_G=rollout_seeds(config.seed, epoch, prompt.problem.id, config.sampling.group_size),
            min_version=min_version,
            judge=self.judge_budget.grant(position, step),
            guidance_length=self._guidance_length.length(step),
            hint=self._guidance_length.hint(prompt, step),
        )

    def trained(self, step: int, groups_P: Sequence[Group]) -> None:
        """A step has been trained. ``groups_P``: all of its groups in order, dropped or not."""
        self._guidance_length.learn(step, groups_P)
        self._epoch_ranks.learn(step, groups_P)

    def forget_before(self, step: int) -> None:
        """No resumed run goes back behind ``step`` any more, and its groups went out."""
        self._guidance_length.forget_before(step)
        self._epoch_ranks.forget_before(step)
        self._window.forget_before(step)

    def metrics(self, step: int, groups_P: Sequence[Group]) -> dict[str, float | int | None]:
        """What the row of a step says of them."""
        return self._epoch_ranks.metrics(step, groups_P)

    def judging_over(self, trained: int) -> bool:
        """Whether no group will be judged any more, ``trained`` steps being done."""
        return self.judge_budget.over(trained, self._window.first_position(trained))

    def state(self, steps: int) -> dict[str, Any]:
        """What the controllers go on from after ``steps`` steps: JSON values, by name."""
        return {
            "judge_budget": self.judge_budget.spent,
            "guidance_length": self._guidance_length.state(steps),
            "epoch_ranks": self._epoch_ranks.state(steps),
        }
