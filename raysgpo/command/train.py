"""Train a model: ``python jobs/train.py RECIPE [key=value ...] [--config FILE] [--dry-run [--cluster FILE]]``."""

from __future__ import annotations

import sys

from raysgpo.command.checks import check_places
from raysgpo.command.configure import configure
from raysgpo.command.parser import dry_run_asked, run_parser
from raysgpo.command.words import Words
from raysgpo.config.overrides import ConfigError
from raysgpo.imports import large_import
from raysgpo.output.exit_status import DONE, WRONG_SETTING
from raysgpo.recipes import RECIPES
from raysgpo.start.dry_run import show


def main() -> int:
    parser = run_parser("train", "Train a model with GRPO or SGPO on Ray.", RECIPES)
    arguments = parser.parse_intermixed_args()
    try:
        config = configure(Words.of(arguments), RECIPES)
        if dry_run_asked(parser, arguments):
            show(config, arguments.cluster)
            return DONE
        check_places(config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    with large_import():  # after the checks: this imports Ray
        from raysgpo.run import train

    return train(config).status
