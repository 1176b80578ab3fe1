"""How many rollout replicas there are, by what a push of new weights found."""

from __future__ import annotations

from raysgpo.config.replica_bounds import ReplicaBounds
from raysgpo.output.metrics import Metrics


def replica_metrics(sync: Metrics) -> Metrics:
    """``sync``: the trainer's. One that is new is told of no push before it answers requests, and one that leaves of
    none once it takes no more, so neither is missed."""
    landed, failures = sync.get("sync/replicas"), sync.get("sync/failures")
    if landed is None:
        return {}
    return {"rollout/replicas": landed + (failures or 0) if landed else 0}


class ReplicaCount:
    """The number from step to step, where it may change."""

    def __init__(self, bounds: ReplicaBounds) -> None:
        self._last, self._most = bounds

    def change(self, step: int, sync: Metrics) -> str | None:
        """What the console is told; None where nothing changed. ``step``: 0-based.

        Where no replica was found the push was missed, which is told elsewhere; with a fixed number all else is too.
        """
        before, now = self._last, int(replica_metrics(sync).get("rollout/replicas") or 0)
        if now in (0, before) or now > self._most:
            return None
        self._last = now
        return f"step {step + 1}: rollout replicas: {before} -> {now}"
