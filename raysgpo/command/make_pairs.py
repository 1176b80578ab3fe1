"""Make verifier pairs of graded solutions: ``python jobs/make_pairs.py SOLUTIONS OUT [key=value ...]``.

SOLUTIONS is a JSONL file: a line is a question with one graded solution (question, solution, correct), one with
several (question, solutions, correct: lists), or a group of a run (its groups.jsonl). Thinking is removed, what was cut
off or stands there twice is left out, and pairs of a right and a wrong solution to a question are written to OUT,
ready for ``task.path`` of ``task.kind=verifier``. With ``both_right=1 both_wrong=1`` pairs of two right and of two
wrong ones are added, for ``task.eval_path``. Exit status 2 if a file or a setting is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from raysgpo.command.own_settings import own_settings
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError
from raysgpo.output.exit_status import DONE, WRONG_SETTING
from raysgpo.output.json_lines import replace_rows
from raysgpo.pairs.graded_solutions import Fate, read_solutions
from raysgpo.pairs.pairing import PairsConfig, pairs_of


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("make_pairs"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="settings: " + ", ".join(f"{name}={f.default}" for name, f in PairsConfig.model_fields.items()),
    )
    command.add_argument("solutions", metavar="SOLUTIONS", help="JSONL of graded solutions, or groups of a run")
    command.add_argument("out", metavar="OUT", help="JSONL to write")
    command.add_argument("words", nargs="*", metavar="key=value", help="settings")
    return command


def main() -> int:
    arguments = parser().parse_intermixed_args()
    out = Path(arguments.out).expanduser()
    try:
        config = own_settings(PairsConfig, arguments.words)
        if not out.absolute().parent.is_dir():
            raise ConfigError(f"{arguments.out}: there is no such folder")
        if out.exists():
            raise ConfigError(f"{arguments.out}: there is something already; give a file that is not there")
        questions, fates = read_solutions(arguments.solutions)
        rows = pairs_of(questions, config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    print(", ".join(f"{fates[one]:,} {one.value}" for one in Fate) + " solutions")
    kinds = Counter(row["correct_a"] + row["correct_b"] for row in rows)
    used = len({row["question"] for row in rows})
    print(f"{kinds[1]:,} pairs of a right and a wrong one, {kinds[2]:,} of two right, {kinds[0]:,} of two wrong ones")
    if not rows:
        print(f"error: {arguments.solutions}: no question has the solutions that a pair takes", file=sys.stderr)
        return WRONG_SETTING
    replace_rows(out, rows)
    print(f"{used:,} of {len(questions):,} questions have a pair: {out}")
    return DONE
