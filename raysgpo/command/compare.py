"""Compare settings: ``python jobs/compare.py RECIPE [key=value ...] --vary key=a,b [--vary ...] --seeds 0,1,2``.

``--variant "NAME: key=value key=value"`` adds a variant of several settings; ``--sweep g2rpo_a_table_1`` takes those of
a paper's table, and the recipe of it where none is named. Every variant is trained with every seed,
all else being equal, and one report is written (docs/comparison.md). The same command again goes on where it stopped.
Exit status 1 if a run failed, 2 if something is set wrong, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from raysgpo.command.checks import check_places
from raysgpo.command.parser import add_words
from raysgpo.command.words import Words
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.output.exit_status import DONE, STOPPED, WRONG_SETTING
from raysgpo.recipes import RECIPES
from raysgpo.studies.comparison.plan import Plan, make_plan
from raysgpo.studies.comparison.report import write_report
from raysgpo.studies.comparison.runs import claim, claim_existing, run_all
from raysgpo.studies.comparison.table import print_plan, print_summary
from raysgpo.studies.sweeps.named import SWEEPS, named_sweep
from raysgpo.studies.sweeps.sweep import in_miniature, small_words

TRAIN = [sys.executable, "-P", "-m", "raysgpo.command.main", "train"]
"""What trains a variant; ``-P``: the working folder has no part in it."""

SEEDS = "0,1,2"


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("compare"),
        description="Train variants under matched settings and report what differs.",
        epilog=f"recipes: {', '.join(RECIPES.names())}; settings: {command_name('train')} --help",
    )
    add_words(command, "settings of all variants")
    command.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="key=a,b",
        help="what the variants differ in, such as algorithm=grpo,sgpo; of several, every combination",
    )
    command.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="'NAME: key=value ...'",
        help="a further variant, of several settings; the name may be left out",
    )
    command.add_argument(
        "--sweep", metavar="NAME", help=f"the variants of a paper's table (docs/papers.md): {', '.join(SWEEPS)}"
    )
    command.add_argument(
        "--miniature", action="store_true", help="the same variants with a tiny model and few rows that come along"
    )
    command.add_argument(
        "--seeds", metavar="0,1,2", help="one run of each variant for each; default: 0,1,2, or those of the sweep"
    )
    command.add_argument(
        "--target", type=_share, metavar="SHARE", help="accuracy to reach; default: the first variant's last"
    )
    command.add_argument("--name", metavar="NAME", help="of the folder; default: the recipe and the varied keys")
    command.add_argument("--dry-run", action="store_true", help="print what would run and stop")
    command.add_argument("--report-only", action="store_true", help="write the report of what is there and stop")
    return command


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no accuracy: give a share above 0 and up to 1, such as 0.5")
    return value


def plan(arguments: argparse.Namespace) -> Plan:
    """The comparison that the words describe.

    Raises:
        ConfigError: a wrong setting, or variants that do not differ.
    """
    words = Words.of(arguments)
    if arguments.sweep is None:
        seeds = arguments.seeds or SEEDS
        layers = words.layers(RECIPES)
        return make_plan(layers, words.overrides, arguments.vary, seeds, arguments.name, arguments.variant)
    sweep = named_sweep(arguments.sweep)
    words = words if words.recipe or words.file else replace(words, recipe=sweep.recipe)
    common, listed = sweep.common(words.overrides), sweep.listed(arguments.sweep)
    layers = words.layers(RECIPES)
    if words.miniature:
        large = resolve(*replace(words, miniature=False).layers(RECIPES))
        common, listed = list(small_words(common, 1.0)), in_miniature(listed, large, resolve(*layers))
    seeds = arguments.seeds or sweep.seeds
    overrides = [*common, *words.overrides]
    return make_plan(layers, overrides, arguments.vary, seeds, arguments.name, arguments.variant, listed)


def main() -> int:
    arguments = parser().parse_intermixed_args()
    try:
        comparison = plan(arguments)
        if arguments.dry_run:
            print_plan(comparison, sys.stdout)
            return DONE
        if arguments.report_only:
            claim_existing(comparison)
            status = DONE
        else:
            status = run(comparison)
        if status in (WRONG_SETTING, STOPPED):
            return status
        summary = write_report(comparison, arguments.target)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    print_summary(summary, sys.stdout)
    print(f"report: {comparison.folder / 'report.html'}")
    return status


def run(comparison: Plan) -> int:
    """Check every variant, then train what is not there yet."""
    for variant in comparison.variants:
        check_places(variant.config)
    claim(comparison)
    print_plan(comparison, sys.stdout)
    status = run_all(comparison, TRAIN, lambda line: print(line, flush=True))
    if status == STOPPED:
        print("stopped; the same command goes on with it")
    return status
