"""Train again on a run's recorded groups, without an engine: ``python jobs/replay.py RUN [--from STEP]``.

The run must have been made with ``records.tokens=true``. Each line compares a step's loss with the
recorded one. Exit status 1 if one of them differs by more than ``--tolerance``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.places import storage_folder
from raysgpo.output.exit_status import DONE, FAILED, WRONG_SETTING
from raysgpo.output.run_folder import RunFolder

if TYPE_CHECKING:
    from raysgpo.studies.replay import ReplayedStep

TOLERANCE = 1e-6


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("replay"), description="Train again on the recorded groups of a run, without an engine."
    )
    command.add_argument("run", metavar="RUN", help="a run folder, or its name under --storage")
    command.add_argument("--from", dest="step", type=int, default=0, metavar="STEP", help="start at this checkpoint")
    command.add_argument("--storage", default=Config().storage, metavar="FOLDER", help="where runs are numbered")
    command.add_argument("--tolerance", type=float, default=TOLERANCE, help="largest difference of a loss")
    return command


def main() -> int:
    arguments = parser().parse_args()
    try:
        run = RunFolder.existing(arguments.run, storage_folder(arguments.storage))
        from raysgpo.studies.replay import replay  # after the check: this imports torch

        return report(replay(run, arguments.step), arguments.tolerance)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING


def report(steps: Iterator[ReplayedStep], tolerance: float) -> int:
    print(f"{'step':>6} {'loss':>14} {'recorded':>14} {'difference':>11}")
    largest = 0.0
    for row in steps:
        if row.loss is None and row.recorded is None:
            print(f"{row.step:>6} {'no group with a signal, so no update':>41}")
            continue
        print(f"{row.step:>6} {_number(row.loss):>14} {_number(row.recorded):>14} {row.difference:>11.1e}")
        largest = max(largest, row.difference)
    print(f"largest difference: {largest:.1e} ({'within' if largest <= tolerance else 'above'} {tolerance:g})")
    return DONE if largest <= tolerance else FAILED


def _number(loss: float | None) -> str:
    return "no update" if loss is None else f"{loss:.9f}"
