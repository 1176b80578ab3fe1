"""Where a run stands."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    total: int
    """Optimizer steps of the whole run."""
    trained: int = 0
    stop: bool = False
    evaluated: bool = False
    """Whether the policy that the run starts from has been: a trainer that starts again asks again."""
    phase: str = "starting"
    step_start: float = field(default_factory=time.time)

    @property
    def over(self) -> bool:
        return self.trained >= self.total


def due(steps_done: int, every: int) -> bool:
    """Whether what is done every so many steps is done now; 0: never."""
    return every > 0 and steps_done % every == 0
