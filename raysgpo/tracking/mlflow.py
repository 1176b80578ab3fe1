"""The numbers of a run for MLflow."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from raysgpo.config.overrides import Tree
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.tracking.tracker import PROJECT, numbers, remember, remembered

MOST_PARAMETERS = 100
"""That MLflow takes at a time."""
LONGEST = 500
"""Letters of a parameter, as older servers take them."""


class MLflowRun:
    """A run there, by MLflow's own environment variables; without an address, in a file of the run folder."""

    def __init__(self, run: RunFolder, step: int, settings: Tree) -> None:
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)  # the tables of a new file, one by one
        run.trackers.mkdir(exist_ok=True)
        self._address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.trackers / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=self._address)
        before = remembered(run, "mlflow")
        self._id = before if before is not None and self._is_known(before) else self._new(run, settings)
        self._client.update_run(self._id, status="RUNNING")

    @classmethod
    def unready(cls) -> str | None:
        return None

    @property
    def place(self) -> str:
        return f"{self._address}, run {self._id}"

    def row(self, row: Metrics) -> None:
        from mlflow.entities import Metric

        now, step = int(time.time() * 1000), int(row["step"] or 0)
        self._client.log_batch(self._id, [Metric(name, value, now, step) for name, value in numbers(row).items()])

    def close(self, failed: bool) -> None:
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")

    def _is_known(self, identity: str) -> bool:
        """Whether that run is there. At another address than before it is not."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_run(identity)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def _new(self, run: RunFolder, settings: Tree) -> str:
        from mlflow.entities import Param

        created = self._client.create_run(self._experiment(), run_name=run.path.name)
        identity: str = created.info.run_id
        remember(run, "mlflow", identity)
        parameters = [Param(name, str(value)[:LONGEST]) for name, value in _flat(settings)]
        for first in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(identity, params=parameters[first : first + MOST_PARAMETERS])
        return identity

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        identity: str = self._client.create_experiment(name) if found is None else found.experiment_id
        return identity


def _flat(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys, as they are typed."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
