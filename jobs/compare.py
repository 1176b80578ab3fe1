"""Compare settings: ``python jobs/compare.py RECIPE [key=value ...] --vary key=a,b [--vary ...] --seeds 0,1,2``."""

from __future__ import annotations

import sys

from raysgpo.command.compare import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
