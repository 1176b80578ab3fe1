"""Train again on a run's recorded groups, without an engine: ``python jobs/replay.py RUN [--from STEP]``."""

from __future__ import annotations

import sys

from raysgpo.command.replay import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
