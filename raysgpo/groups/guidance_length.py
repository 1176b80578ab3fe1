"""How much guidance the groups of each step get, and what the controller has learned so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.prepared import Prompt
from raysgpo.guidance.schedule import Mean, adapted, concave, guided_count, linear, rounded, smoothed, stepwise
from raysgpo.records import Drop, Group, Hint

State = dict[str, Any]
"""``lengths``: l after the last S + 1 trained steps, the newest last; ``means``: the smoothed r of the last W + 1 of
them that had one, W being ``guidance.window``. Empty unless adaptive."""


@dataclass(frozen=True, slots=True)
class _Learned:
    """What the controller knows after a step."""

    length: float
    means: tuple[float, ...] = ()
    """Smoothed, of the newest steps that were measured: as many as the next length follows from."""


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
        self._trained = trained
        lengths = list(state["lengths"]) if state else [self._first]
        kept = range(self._oldest(trained), trained + 1)
        lengths = [lengths[0]] * (len(kept) - len(lengths)) + lengths[-len(kept) :]
        self._after = {steps: _Learned(length) for steps, length in zip(kept, lengths, strict=True)}
        """By the number of steps trained."""
        if state:
            self._after[trained] = _Learned(lengths[-1], tuple(state["means"]))

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
                return self._after[self._oldest(step)].length

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
        if self._settings.schedule != "adaptive" or step < self._trained:
            return
        assert step == self._trained, f"step {step} after {self._trained} steps"
        before, mean = self._after[step], self._mean(groups_P)
        self._trained = step + 1
        self._after[self._trained] = before if mean is None else self._learned(before, mean)

    def _learned(self, before: _Learned, mean: float) -> _Learned:
        settings = self._settings
        assert settings.max_length is not None, "the preparation fills the limit in"
        [*_, now] = smoothed([*before.means[-1:], mean], settings.smoothing)
        assert now is not None, "of a mean that there is"
        means = (*before.means, now)[-settings.window - 1 :]
        if self._trained % settings.adapt_every != 0:
            return replace(before, means=means)
        length = adapted(
            before.length,
            means,
            window=settings.window,
            shortest=settings.min_length,
            longest=settings.max_length,
            max_change=settings.max_change or math.inf,
        )
        return _Learned(length, means)

    def state(self, steps: int) -> State:
        """What a checkpoint after ``steps`` steps must hold: nothing where the length follows from the step alone."""
        if self._settings.schedule != "adaptive":
            return {}
        kept = range(self._oldest(steps), steps + 1)
        return {
            "lengths": [self._after[known].length for known in kept],
            "means": list(self._after[steps].means),
        }

    def forget_before(self, step: int) -> None:
        """Nothing before ``step`` is trained or asked for any more."""
        for steps in [steps for steps in self._after if steps < self._oldest(step)]:
            del self._after[steps]

    def _oldest(self, step: int) -> int:
        """Steps trained when the slots of ``step`` opened."""
        return max(step - self._staleness, 0)

    def _mean(self, groups_P: Sequence[Group]) -> Mean:
        settings = self._settings
        without = (Drop.FAILED, Drop.NO_REWARD)
        rollouts = [r for group in groups_P if group.dropped not in without for r in group.rollouts_G]
        if settings.signal_of == "unguided":
            rollouts = [rollout for rollout in rollouts if not rollout.guided]
        values = [float(bool(r.correct)) if settings.signal == "accuracy" else r.reward for r in rollouts]
        return sum(values) / len(values) if values else None
