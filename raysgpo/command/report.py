"""Reports: ``python jobs/report.py PLACE [PLACE ...] [--paper TABLE[:MODEL]] [--method "NAME: LABEL, ..."]``.

A place is an evaluation, a comparison or a run: its folder, or its name under ``--storage`` (docs/reports.md).

- Of evaluations: accuracy by set, what one method solves and the other does not, accuracy by level.
- Of a comparison, or of several runs: accuracy at the end, curves over epochs, the map of guidance length and alpha.
- Of one run: sampled answers with their steps, votes, rewards and advantages, and its curves.

``--paper`` puts the paper's own rows beside them (docs/papers.md). Exit status 2 if something is named wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import storage_folder, user_path
from raysgpo.output.exit_status import DONE, WRONG_SETTING


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("report"), description="The papers' tables and figures of evaluations, comparisons and runs."
    )
    command.add_argument(
        "places", metavar="PLACE", nargs="+", help="an evaluation, a comparison or a run: a folder, or its name"
    )
    command.add_argument(
        "--paper", metavar="TABLE[:MODEL]", help="the paper's rows beside ours, such as sgpo_table_2:QwQ-32B"
    )
    command.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="'NAME: LABEL, ...'",
        help="models, or runs, that are one method: seeds of it; default: each by itself",
    )
    command.add_argument("--attempts", type=_count, metavar="K", help="of what is solved; default: all there are")
    command.add_argument(
        "--groups", type=_count, default=1, metavar="N", help="of one run: sampled groups of each kind and third"
    )
    command.add_argument("--out", metavar="FILE.html", help="the page; default: in the first place's folder")
    command.add_argument("--storage", default=Config().storage, metavar="FOLDER", help="where places are numbered")
    return command


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of them: give 1 or more")
    return int(text)


def main() -> int:
    arguments = parser().parse_args()
    try:
        from raysgpo.studies.reports.places import Places, written_report  # after --help: this imports matplotlib

        places = Places.named(arguments.places, storage_folder(arguments.storage))
        file = written_report(
            places, arguments.paper, arguments.method, arguments.attempts, arguments.groups, _out(arguments.out)
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    print(f"report: {file}")
    return DONE


def _out(text: str | None) -> Path | None:
    """The page to be written.

    Raises:
        ConfigError: it cannot be.
    """
    if text is None:
        return None
    file = user_path(text).absolute()
    if file.suffix != ".html":
        raise ConfigError(f"--out {text}: a page is named FILE.html; the Markdown lies beside it")
    if not file.parent.is_dir():
        raise ConfigError(f"--out {text}: there is no folder {file.parent}")
    return file
