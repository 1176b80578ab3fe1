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
