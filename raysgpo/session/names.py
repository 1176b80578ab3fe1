"""What a run is called on a cluster that others use too."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field

from raysgpo.output.run_folder import RunFolder


def _new_id() -> str:
    return uuid.uuid4().hex[:8]


@dataclass(frozen=True, slots=True)
class RunNames:
    """Names of a run's Serve applications. No other start of a run has them, whatever its folder is called."""

    name: str
    """Of the run's folder."""
    id: str = field(default_factory=_new_id)
    """Every request carries it, and a replica of another run refuses."""

    @classmethod
    def of(cls, run: RunFolder) -> RunNames:
        return cls(run.path.name)

    @property
    def rollout(self) -> str:
        return f"{self._slug}-{self.id}-rollout"

    @property
    def judge(self) -> str:
        return f"{self._slug}-{self.id}-judge"

    @property
    def _slug(self) -> str:
        """Serve hangs on names with other letters, and a judge's name is a part of its address."""
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.name).strip("-") or "run"
