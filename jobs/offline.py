"""Train on groups that are sampled once: ``python jobs/offline.py RECIPE [key=value ...] ...``."""

from __future__ import annotations

import sys

from raysgpo.command.offline import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
