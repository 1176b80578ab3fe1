"""The numbers of a run for Weights & Biases."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from raysgpo.config.overrides import Tree
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.tracking.tracker import PROJECT, numbers, remember, remembered

FINISH_SECONDS = 45
"""For what is still to be sent at the end; it stays in the folder in any case, for ``wandb sync``."""


class WandbRun:
    """A run there, by W&B's own environment variables. Its x-axis is ``step``: W&B takes no number back, so what lay
    past a resumed run's checkpoint is there twice."""

    def __init__(self, run: RunFolder, step: int, settings: Tree) -> None:
        import wandb

        identity = remembered(run, "wandb") or uuid.uuid4().hex[:8]
        remember(run, "wandb", identity)
        _wait_for_a_folder(run.trackers / "wandb", identity)
        quiet = wandb.Settings(
            console="off", silent=True, finish_timeout=FINISH_SECONDS, finish_timeout_raises=True, login_timeout=1
        )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", run.path.name),
            id=identity,
            resume="allow",
            dir=str(run.trackers),
            config=settings,
            settings=quiet,
            reinit="create_new",
        )
        self._run.define_metric("*", step_metric="step")
        self._folder = run.trackers

    @classmethod
    def unready(cls) -> str | None:
        import wandb

        if os.environ.get("WANDB_MODE", "online") != "online":
            return None
        wandb.setup(wandb.Settings(silent=True))
        if wandb.login(prompt=False, verify=False):
            return None
        return (
            "records.trackers=wandb: no key for Weights & Biases: set WANDB_API_KEY or run wandb login, or set "
            "WANDB_MODE=offline and send it later with wandb sync"
        )

    @property
    def place(self) -> str:
        return f"offline, in {self._folder / 'wandb'}" if self._run.offline else str(self._run.url)

    def row(self, row: Metrics) -> None:
        self._run.log({"step": row["step"], **numbers(row)})

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def _wait_for_a_folder(parent: Path, identity: str) -> None:
    """W&B names a start's folder by the second: another start within it would write over the first."""
    while any(parent.glob(f"*run-{time.strftime('%Y%m%d_%H%M%S')}-{identity}")):
        time.sleep(0.1)
