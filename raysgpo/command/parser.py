"""The command line of a run: a recipe, a file, settings."""

from __future__ import annotations

import argparse

from raysgpo.command.recipe import Recipes
from raysgpo.config.reference import brief


def run_parser(prog: str, description: str, recipes: Recipes) -> argparse.ArgumentParser:
    """Of ``jobs/train.py`` and ``jobs/offline.py``. ``--help`` lists every setting."""
    command = argparse.ArgumentParser(
        prog=f"python {prog}",
        description=description,
        epilog=f"recipes: {', '.join(recipes.names())}\n\nsettings and their defaults:\n{brief()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_words(command, "settings, such as sampling.temperature=0.7")
    command.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
    command.add_argument(
        "--cluster",
        metavar="FILE",
        help="with --dry-run: say which part goes to which node of this cluster (the YAML of ray up, or of KubeRay)",
    )
    return command


def dry_run_asked(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> bool:
    """Whether nothing is to be run; ends the program where ``--cluster`` stands without ``--dry-run``."""
    if arguments.cluster is not None and not arguments.dry_run:
        command.error(
            "--cluster is of --dry-run: add it, or leave --cluster out (a run goes to the cluster that it joins)"
        )
    return bool(arguments.dry_run)


def add_words(command: argparse.ArgumentParser, overrides: str) -> None:
    """What ``Words.of`` reads. ``overrides``: the help on ``key=value``."""
    command.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe")
    command.add_argument("overrides", nargs="*", metavar="key=value", help=overrides)
    command.add_argument("--config", metavar="FILE", help="read settings from a YAML file, such as a run's config.yaml")
