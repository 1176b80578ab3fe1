"""Train on groups that are sampled once: ``python jobs/offline.py RECIPE [key=value ...] [--dry-run] [--config FILE]``.

The offline mode of SGPO (arXiv 2505.11595, section 4.1): sample a file of groups from the policy, or load one
(``offline.groups=FILE``, such as the ``groups.jsonl`` of a run), keep the all-negative groups, judge them once, train
on them with no replica running, and evaluate before and after. ``offline.keep=positive`` is the contrast.
"""

from __future__ import annotations

import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from jobs.train import check_judge, configure, parser
from raysgpo.config.model_path import check_model_path
from raysgpo.config.overrides import ConfigError, dump
from raysgpo.offline.kept_groups import selected


def main() -> int:
    arguments = parser("jobs/offline.py", "Train on groups that are sampled once, or loaded.").parse_intermixed_args()
    try:
        config = configure(arguments, "offline")
        if arguments.dry_run:
            print(dump(config), end="")
            return 0
        check_model_path(config.model)
        check_judge(config)
        groups = selected(config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from raysgpo.offline.run import train_offline  # after the checks: this imports Ray

    return train_offline(config, groups)


if __name__ == "__main__":
    sys.exit(main())
