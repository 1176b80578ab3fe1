"""Which positions of the stream may start, and which step each belongs to: the arithmetic of bounded staleness.

Positions are 0, 1, 2, ...; step k trains on the positions from where step k - 1 ended up to its own
end. Without refilling it takes P positions, so k P ... k P + P - 1. With refilling it takes positions
until P of them are kept, but at most ``refill`` P: a group that is dropped makes room for one more.

Position i may start only when i lies before the end of step ``released`` + S, where a position whose
fate is not known counts as kept, and ``released`` moves on when a step has been trained *and* its
weights have landed on the serving replicas. More drops only move ends up and never down. So

- a sample of step k starts from weights that made at least k - S steps, so its age when it is
  consumed, k minus those steps, is at most S;
- S = 0 is exactly synchronous, and a step is the shortest run of positions with P kept groups in it,
  in whatever order they arrive: what a step trains on does not depend on timing;
- a position owns its slot, so asking twice is harmless, and the lowest unfinished position may
  always start, so the stream cannot deadlock, in whatever order rows arrive;
- prompts follow from positions, so a run that goes on from a checkpoint needs to know only where the
  next step begins.
"""

from __future__ import annotations

from bisect import bisect_left

from raysgpo.config import Config


def age(step: int, steps_of_oldest_token: int) -> int:
    """Age of a group when step ``step`` consumes it, in optimizer steps.

    ``steps_of_oldest_token`` is the number of optimizer steps that had been made when the weights
    of its oldest token were published. Weights from before the step's own start have age 1 or more.
    """
    assert 0 <= steps_of_oldest_token <= step, (
        f"step {step} consumes a token of weights that made {steps_of_oldest_token} steps: from the future"
    )
    return step - steps_of_oldest_token


class Window:
    """The window as it moves.

    ``Window(prompts_per_step=32, max_staleness=1)`` lets positions 0 to 63 start; with ``refill=4`` and
    position 5 dropped, 0 to 64.
    """

    def __init__(
        self,
        prompts_per_step: int,
        max_staleness: int,
        *,
        refill: int = 1,
        step: int = 0,
        position: int = 0,
        total_steps: int | None = None,
    ) -> None:
        """``step`` steps have been trained, and the next begins at ``position``.

        ``refill``: a step takes at most this many times ``prompts_per_step`` positions. Nothing starts
        that would belong to step ``total_steps`` or later.
        """
        assert prompts_per_step >= 1, "a step needs a prompt"
        assert max_staleness >= 0, "staleness is a number of steps, 0 or more"
        assert refill >= 1, "a step takes at least its own positions"
        self.prompts_per_step = prompts_per_step
        self.max_staleness = max_staleness
        self.released = step
        self._refill = refill
        self._total_steps = total_steps
        self._base = step
        self._firsts = [position]
        """First positions of the steps ``_base``, ``_base + 1``, ..., as far as they are final."""
        self._dropped: list[int] = []
        """Rising; kept only where dropped groups are replaced."""
        self._limit: int | None = None

    @property
    def limit(self) -> int:
        """The first position that may not start."""
        if self._limit is None:
            steps = self.released + self.max_staleness + 1
            steps = steps if self._total_steps is None else min(steps, self._total_steps)
            self._limit = self.first_position(max(steps, self._base))
        return self._limit

    def may_start(self, position: int) -> bool:
        return position < self.limit

    def first_position(self, step: int) -> int:
        """Where a step begins, a position whose fate is not known counting as kept."""
        assert step >= self._base, f"step {step} lies before step {self._base}, which is where this window began"
        known = min(step - self._base, len(self._firsts) - 1)
        first = self._firsts[known]
        for _ in range(step - self._base - known):
            first = self._end(first)
        return first

    def positions(self, step: int) -> range:
        """Those of a step; final once it is closed, or when the groups of all of them have arrived."""
        return range(self.first_position(step), self.first_position(step + 1))

    def step_of(self, position: int) -> int:
        """The step that trains on this position, as far as is known."""
        known = max(bisect_left(self._firsts, position + 1) - 1, 0)
        step, end = self._base + known, self.first_position(self._base + known + 1)
        while end <= position:
            step, end = step + 1, self._end(end)
        return step

    def dropped(self, position: int) -> None:
        """The group of this position will not be trained on. Saying it twice changes nothing."""
        place = bisect_left(self._dropped, position)
        if self._refill > 1 and self._dropped[place : place + 1] != [position]:
            self._dropped.insert(place, position)
            self._limit = None

    def forget_before(self, step: int) -> None:
        """Nobody asks for a step before ``step`` any more: the window is as one that began there."""
        self.close(step - 1)
        del self._firsts[: step - self._base]
        self._base = step
        del self._dropped[: bisect_left(self._dropped, self._firsts[0])]

    def close(self, step: int) -> None:
        """The groups of all positions of ``step`` are there: its end, and where the next begins, is final."""
        while len(self._firsts) <= step + 1 - self._base:
            self._firsts.append(self._end(self._firsts[-1]))

    def release_to(self, steps: int) -> None:
        """``steps`` steps have been trained and the weights of the last one have landed."""
        self.released = steps
        self._limit = None

    def rewind(self, steps: int) -> None:
        """The weights now on the replicas made only ``steps`` steps (the trainer started again from a
        checkpoint): nothing more may start until the steps after them are trained again."""
        self.release_to(min(self.released, steps))

    def _end(self, first: int) -> int:
        """The end of a step that begins at ``first``: the least one with P positions kept before it."""
        start, most = bisect_left(self._dropped, first), first + self._refill * self.prompts_per_step
        end = first + self.prompts_per_step
        while True:
            longer = min(first + self.prompts_per_step + bisect_left(self._dropped, end) - start, most)
            if longer == end:
                return end
            end = longer


def run_window(config: Config, step: int, position: int, total_steps: int) -> Window:
    """The window of a run that goes on after ``step`` steps, with the position at which the next begins."""
    return Window(
        config.prompts_per_step,
        config.max_staleness,
        refill=config.refill_limit,
        step=step,
        position=position,
        total_steps=total_steps,
    )
