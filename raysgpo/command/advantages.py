"""Who was reinforced in these runs? ``python jobs/advantages.py RUN [RUN ...] [--out FILE]``.

Draws figures 1 and 2 of CoRPO (arXiv 2511.04439) from the runs' own records: the share of rollouts by
the sign of their advantage and by correctness, and the ratio of positive to negative advantages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.places import storage_folder
from raysgpo.output.exit_status import DONE, WRONG_SETTING
from raysgpo.output.run_folder import RunFolder


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(prog=command_name("advantages"), description="Who was reinforced in these runs?")
    command.add_argument("runs", metavar="RUN", nargs="+", help="a run folder, or its name under --storage")
    command.add_argument("--out", metavar="FILE", help="the picture; else advantages.png in the first run's folder")
    command.add_argument("--storage", default=Config().storage, metavar="FOLDER", help="where runs are numbered")
    return command


def main() -> int:
    arguments = parser().parse_args()
    try:
        root = storage_folder(arguments.storage)
        runs = [RunFolder.existing(run, root) for run in arguments.runs]
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    from raysgpo.output.advantage_picture import draw_advantages  # after the check: this imports matplotlib

    print(draw_advantages(runs, Path(arguments.out) if arguments.out else runs[0].advantages))
    return DONE
