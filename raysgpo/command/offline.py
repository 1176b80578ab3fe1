"""Train on groups that are sampled once: ``python jobs/offline.py RECIPE [key=value ...] [--config FILE] [--dry-run]``.

The offline mode of SGPO (arXiv 2505.11595, section 4.1): sample a file of groups from the policy, or load one
(``offline.groups=FILE``, such as the ``groups.jsonl`` of a run), keep the all-negative groups, judge them once, train
on them with no replica running, and evaluate before and after. ``offline.keep=positive`` is the contrast.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from raysgpo.command.checks import check_places
from raysgpo.command.configure import configure
from raysgpo.command.parser import dry_run_asked, run_parser
from raysgpo.command.words import Words
from raysgpo.config.overrides import ConfigError
from raysgpo.imports import large_import
from raysgpo.offline.kept_groups import selected
from raysgpo.output.exit_status import DONE, WRONG_SETTING
from raysgpo.recipes import RECIPES
from raysgpo.start.dry_run import show


def main(typed: Sequence[str] | None = None) -> int:
    """``typed``: the words of the command line, if others than this process was given."""
    parser = run_parser("offline", "Train on groups that are sampled once, or loaded.", RECIPES)
    arguments = parser.parse_intermixed_args(typed)
    try:
        config = configure(Words.of(arguments), RECIPES, "offline")
        if dry_run_asked(parser, arguments):
            show(config, arguments.cluster)
            return DONE
        check_places(config)
        groups = selected(config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    with large_import():  # after the checks: this imports Ray
        from raysgpo.offline.run import train_offline

    return train_offline(config, groups)
