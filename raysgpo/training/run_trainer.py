"""Ray Train's trainer, without what a run has no use for."""

from __future__ import annotations

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback


class RunTrainer(TorchTrainer):
    """Its workers get their groups from the conductor, so there is no process that would hand out data sets."""

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if not isinstance(one, DatasetsCallback)]
