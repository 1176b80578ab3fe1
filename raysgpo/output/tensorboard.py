"""The numbers of a run for TensorBoard."""

from __future__ import annotations

from types import TracebackType

from tensorboardX import SummaryWriter

from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder


class TensorBoardLog:
    """Writes each row of metrics or evaluations once; a resumed run hides what it wrote past its checkpoint.

    It belongs to the process of the console: TensorBoard's writer imports torch, which the conductor
    need not wait for.
    """

    def __init__(self, run: RunFolder, step: int) -> None:
        """``step``: optimizer steps done."""
        self._writer = SummaryWriter(str(run.tensorboard), purge_step=step)

    def row(self, row: Metrics) -> None:
        for name, value in row.items():
            if value is not None and name != "step":
                self._writer.add_scalar(name, value, int(row["step"] or 0))

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
