"""A checkpoint as a Hugging Face folder: ``python jobs/export.py RUN [--step STEP | --best] [--to FOLDER]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from raysgpo.config import CheckpointConfig, Config
from raysgpo.config.command_name import command_name
from raysgpo.config.places import storage_folder
from raysgpo.config.records import ExportDtype
from raysgpo.output import checkpoint
from raysgpo.output.exit_status import DONE, FAILED, WRONG_SETTING
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import WriteFailed


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("export"), description="A checkpoint of a run as a Hugging Face folder."
    )
    command.add_argument("run", metavar="RUN", help="a run folder, or its name under --storage")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--step", type=int, metavar="STEP", help="of this checkpoint; else of the newest")
    which.add_argument("--best", action="store_true", help="of the checkpoint with the highest held-out accuracy")
    command.add_argument("--to", type=Path, metavar="FOLDER", help="else exports/step-NNNNNN of the run")
    command.add_argument(
        "--dtype",
        choices=get_args(ExportDtype),
        default=CheckpointConfig().export_dtype,
        help="of weights",
    )
    command.add_argument("--storage", default=Config().storage, metavar="FOLDER", help="where runs are numbered")
    return command


def main() -> int:
    arguments = parser().parse_args()
    try:
        run = RunFolder.existing(arguments.run, storage_folder(arguments.storage))
        step = _step(run, arguments.step, arguments.best)
        source, folder = _checkpoint(run, step), _target(run, step, arguments.to)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    from raysgpo.policy.export import export  # after the checks: this imports torch

    try:
        export(source, folder, arguments.dtype)
    except (WriteFailed, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    print(folder)
    return DONE


def _step(run: RunFolder, step: int | None, best: bool) -> int:
    there = checkpoint.steps(run.checkpoints)
    if not there:
        raise ValueError(f"{run.path}: it has no checkpoint yet")
    if best and (step := checkpoint.best_step(run.checkpoints)) is None:
        raise ValueError(f"{run.path}: no checkpoint is of a step that was evaluated (evaluation.every); give --step")
    return there[0] if step is None else step


def _checkpoint(run: RunFolder, step: int) -> Path:
    try:
        return checkpoint.of_step(run.checkpoints, step)
    except ValueError as error:
        raise ValueError(f"{run.path}: {error}") from None


def _target(run: RunFolder, step: int, given: Path | None) -> Path:
    """Raises ValueError for a folder that holds anything already: an export replaces what is there."""
    if given is None:
        return run.export(step)
    folder = given.expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--to {given}: there is something already; give a folder that is empty or not there")
    return folder
