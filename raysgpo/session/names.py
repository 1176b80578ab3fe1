"""What a run is called on a cluster that others use too."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from raysgpo.config.run_name import plain_name
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
    def plain(self) -> str:
        """``name`` in ASCII."""
        return plain_name(self.name)

    @property
    def rollout(self) -> str:
        return f"{self.plain}-{self.id}-rollout"

    @property
    def judge(self) -> str:
        return f"{self.plain}-{self.id}-judge"
