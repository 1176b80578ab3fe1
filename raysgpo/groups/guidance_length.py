"""How much guidance the groups of each step get, and what the controller has learned so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.prepared import Prompt
from raysgpo.guidance.schedule import Mean, adapted, concave, guided_count, linear, rounded, smoothed, stepwise
from raysgpo.records import Drop, Group, Hint

State = dict[str, Any]
"""``lengths``: l after 0, 1, 2, ... trained steps; ``means``: r of each of them. Empty unless adaptive."""


class GuidanceLength:
    """The length of each step; asking again gives the same. Its state is in the checkpoint.

    The slots of step s open when s - S steps are trained (S = ``max_staleness``), so its groups carry
    the length that the controller had then, however late they are asked for. The step is the one that a
    position starts for (see ``window``).
    """

    def __init__(self, config: ResolvedConfig, total_steps: int, trained: int = 0, state: State | None = None) -> None:
        """``trained``: steps done; ``state``: what ``state(trained)`` gave, None if there was no controller."""
        self._settings = config.guidance
        self._rollouts = guided_count(config.guidance.ratio, config.sampling.group_size)
        self._staleness = config.max_staleness
        self._steps = config.guidance.decay_steps or max(1, total_steps - 1)
        self._first = float(config.guidance.length or 0)
        state = state or {"lengths": [self._first] * (trained + 1), "means": [None] * trained}
        self._lengths: list[float] = list(state["lengths"])
        self._means: list[Mean] = list(state["means"])
        assert len(self._lengths) == len(self._means) + 1 == trained + 1, "a length more than steps trained"

    def length(self, step: int) -> float | None:
        """l of a step whose slots are open; None without guidance."""
        settings, first = self._settings, self._first
        match settings.schedule:
            case "none":
                return None
            case "fixed":
                return first
            case "linear":
                return linear(first, step, self._steps)
            case "concave":
                return concave(first, step, self._steps, settings.power)
            case "stepwise":
                return stepwise(first, step, settings.factor, settings.every)
            case "adaptive":
                return self._lengths[max(step - self._staleness, 0)]

    def hint(self, prompt: Prompt, step: int) -> Hint | None:
        """What the group of a prompt is given in a step."""
        length = self.length(step)
        if length is None or prompt.trajectory is None:
            return None
        return prompt.trajectory.hint(rounded(length), self._rollouts)

    def learn(self, step: int, groups_P: Sequence[Group]) -> None:
        """A step has been trained. One that is trained again (after a restart) was learned from before.

        ``groups_P``: all of its groups; those without rewards tell nothing.
        """
        settings = self._settings
        if settings.schedule != "adaptive" or step < len(self._means):
            return
        assert step == len(self._means), f"step {step} after {len(self._means)} steps"
        assert settings.max_length is not None, "the preparation fills the limit in"
        self._means.append(self._mean(groups_P))
        length = self._lengths[-1]
        if len(self._means) % settings.adapt_every == 0:
            length = adapted(
                length,
                smoothed(self._means, settings.smoothing),
                window=settings.window,
                shortest=settings.min_length,
                longest=settings.max_length,
                max_change=settings.max_change or math.inf,
            )
        self._lengths.append(length)

    def state(self, steps: int) -> State:
        """What a checkpoint after ``steps`` steps must hold: nothing where the length follows from the step alone."""
        if self._settings.schedule != "adaptive":
            return {}
        return {"lengths": self._lengths[: steps + 1], "means": self._means[:steps]}

    def _mean(self, groups_P: Sequence[Group]) -> Mean:
        settings = self._settings
        without = (Drop.FAILED, Drop.NO_REWARD)
        rollouts = [r for group in groups_P if group.dropped not in without for r in group.rollouts_G]
        if settings.signal_of == "unguided":
            rollouts = [rollout for rollout in rollouts if not rollout.guided]
        values = [float(bool(r.correct)) if settings.signal == "accuracy" else r.reward for r in rollouts]
        return sum(values) / len(values) if values else None
