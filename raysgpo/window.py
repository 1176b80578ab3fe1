"""Which positions of the stream may start: the arithmetic of bounded staleness.

Positions are 0, 1, 2, ...; step k trains on positions kP ... kP + P - 1. Position i may start only
when i < released + (S + 1) P, and ``released`` moves by P when a step has been trained *and* its
weights have landed on the serving replicas. Then

- a sample of step k starts from weights that made at least k - S steps, so its age when it is
  consumed, k minus those steps, is at most S;
- S = 0 is exactly synchronous;
- a position owns its slot, so asking twice is harmless, and the lowest unfinished position may
  always start, so the stream cannot deadlock, in whatever order rows arrive.
"""

from __future__ import annotations

from dataclasses import dataclass


def step_of(position: int, prompts_per_step: int) -> int:
    """The optimizer step that trains on this position."""
    return position // prompts_per_step


def first_position(step: int, prompts_per_step: int) -> int:
    """The lowest position of a step; its others follow up to ``first_position(step + 1, ...)``."""
    return step * prompts_per_step


def may_start(position: int, released: int, prompts_per_step: int, max_staleness: int) -> bool:
    """Whether sampling for this position may begin now."""
    return position < released + (max_staleness + 1) * prompts_per_step


def age(step: int, steps_of_oldest_token: int) -> int:
    """Age of a group when step ``step`` consumes it, in optimizer steps.

    ``steps_of_oldest_token`` is the number of optimizer steps that had been made when the weights
    of its oldest token were published. Weights from before the step's own start have age 1 or more.
    """
    assert 0 <= steps_of_oldest_token <= step, (
        f"step {step} consumes a token of weights that made {steps_of_oldest_token} steps: from the future"
    )
    return step - steps_of_oldest_token


@dataclass(slots=True)
class Window:
    """The window as it moves. ``released`` is the number of positions trained on, with weights landed.

    ``Window(prompts_per_step=32, max_staleness=1)`` lets positions 0 to 63 start.
    """

    prompts_per_step: int
    max_staleness: int
    released: int = 0

    def __post_init__(self) -> None:
        assert self.prompts_per_step >= 1, "a step needs a prompt"
        assert self.max_staleness >= 0, "staleness is a number of steps, 0 or more"
        assert self.released % self.prompts_per_step == 0, "positions are released a whole step at a time"

    @property
    def limit(self) -> int:
        """The first position that may not start."""
        return self.released + (self.max_staleness + 1) * self.prompts_per_step

    def may_start(self, position: int) -> bool:
        return may_start(position, self.released, self.prompts_per_step, self.max_staleness)

    def release_to(self, steps: int) -> None:
        """``steps`` steps have been trained and the weights of the last one have landed."""
        self.released = steps * self.prompts_per_step

    def rewind(self, steps: int) -> None:
        """The weights now on the replicas made only ``steps`` steps (the trainer started again from a
        checkpoint): nothing more may start until the steps after them are trained again."""
        self.released = min(self.released, steps * self.prompts_per_step)
